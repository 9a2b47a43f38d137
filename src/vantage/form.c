/* SPDX-License-Identifier: MIT */
#include "vantage/form.h"

#include "base/json_memory.h"

json_t *form_load(const char *text, size_t len, bool *ret_has_memory)
{
    json_memory_has_failed(); /* what happened before does not count */
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    *ret_has_memory = !json_memory_has_failed();
    if (*ret_has_memory)
        return root;

    json_decref(root); /* even a value may be cut off */
    return NULL;
}

void form_begin(struct form *form, const json_t *object)
{
    *form = (struct form){
        .object = json_is_object(object) ? object : NULL,
        .is_spoilt = !json_is_object(object),
    };
}

bool form_has(const struct form *form, const char *name)
{
    return form->object && json_object_get(form->object, name);
}

/* NULL if it is not there, or of another type. */
static const json_t *take(struct form *form, const char *name, json_type type)
{
    const json_t *value = form->object ? json_object_get(form->object, name) : NULL;

    if (!value || json_typeof(value) != type) {
        form->is_spoilt = true;
        return NULL;
    }
    form->taken++;
    return value;
}

const char *form_text(struct form *form, const char *name, size_t *ret_len)
{
    const json_t *value = take(form, name, JSON_STRING);

    *ret_len = value ? json_string_length(value) : 0;
    return value ? json_string_value(value) : NULL;
}

int64_t form_number(struct form *form, const char *name, int64_t min, int64_t max)
{
    const json_t *value = take(form, name, JSON_INTEGER);
    int64_t number = value ? (int64_t)json_integer_value(value) : min;

    if (number >= min && number <= max)
        return number;
    form->is_spoilt = true;
    return min;
}

const json_t *form_list(struct form *form, const char *name)
{
    return take(form, name, JSON_ARRAY);
}

bool form_end(const struct form *form)
{
    return !form->is_spoilt && form->taken == json_object_size(form->object);
}
