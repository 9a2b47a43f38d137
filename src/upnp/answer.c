/* SPDX-License-Identifier: MIT */
#include "upnp/answer.h"

#include "base/fd.h"
#include "base/text.h"

#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_BYTES 511

static void line_write(const struct text *line)
{
    if (line->failed || !fd_write_all(STDOUT_FILENO, line->data, line->len))
        exit(EXIT_FAILURE);
}

static void address_append(struct text *line, const char *name,
                           const struct address *address)
{
    char literal[ADDRESS_TEXT_SIZE];
    text_printf(line, ", \"%s\": \"%s\"", name, address_format(address, literal));
}

void answer_router(const char *url, bool is_connected, const struct address *outer,
                   size_t ignored)
{
    AUTO_TEXT line = text_up_to(LINE_MAX_BYTES);
    if (url)
        text_printf(&line, "{\"router\": \"%s\", \"connected\": %s", url,
                    is_connected ? "true" : "false");
    else
        text_append_str(&line, "{\"router\": null");
    if (outer)
        address_append(&line, "outer", outer);
    text_printf(&line, ", \"ignored\": %zu}\n", ignored);
    line_write(&line);
}

void answer_port(const struct answer_port *port)
{
    AUTO_TEXT line = text_up_to(LINE_MAX_BYTES);
    text_printf(&line, "{\"port\": %u, \"result\": ", port->inner);
    if (port->result == ANSWER_SILENT)
        text_append_str(&line, "null");
    else
        text_printf(&line, "%d", port->result);
    if (port->has_lease)
        text_printf(&line, ", \"lease\": %u", port->lease);
    if (port->was_gone)
        text_append_str(&line, ", \"was_gone\": true");
    if (port->is_foreign)
        text_append_str(&line, ", \"is_foreign\": true");
    if (port->has_holder)
        address_append(&line, "holder", &port->holder);
    if (port->has_pinhole)
        text_printf(&line, ", \"pinhole\": %u", port->pinhole);
    text_append_str(&line, "}\n");
    line_write(&line);
}

void answer_end(const char *end)
{
    AUTO_TEXT line = text_up_to(LINE_MAX_BYTES);
    text_printf(&line, "{\"end\": \"%s\"}\n", end);
    line_write(&line);
}
