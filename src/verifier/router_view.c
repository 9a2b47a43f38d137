/* SPDX-License-Identifier: MIT */
#include "verifier/router_view.h"

#include "net/scope.h"

#include <stddef.h>

static const char *const outer_texts[] = {
#define X(NAME, text) [ROUTER_OUTER_##NAME] = (text),
    ROUTER_OUTER_MAP(X)
#undef X
};

const char *router_outer_text(enum router_outer outer)
{
    return outer_texts[outer];
}

/* --- the outer address ---------------------------------------------------------------- */

static bool has_meaning(const struct router_view *view, enum router_protocol protocol,
                        enum router_meaning meaning)
{
    const struct router_speech *speech = &view->answer.speech[protocol];
    return speech->state == SPEECH_SPOKEN &&
           router_result_of(protocol, speech->result).meaning == meaning;
}

static bool is_said_by_any(const struct router_view *view, enum router_meaning meaning)
{
    for (enum router_protocol i = 0; i < ROUTER_DATAGRAM_COUNT; i++)
        if (has_meaning(view, i, meaning))
            return true;
    return false;
}

static enum router_outer outer_of(const struct address *outer, const struct address *seen)
{
    if (seen && address_equals(outer, seen))
        return ROUTER_OUTER_SAME;
    if (signs_is_clat(outer))
        return ROUTER_OUTER_CARRIER;
    switch (address_scope(outer)) {
    case SCOPE_PRIVATE:
        return ROUTER_OUTER_PRIVATE;
    case SCOPE_CARRIER:
        return ROUTER_OUTER_CARRIER;
    case SCOPE_GLOBAL:
    case SCOPE_SPECIAL: /* laboratories use them as public ones: see origin.h */
        return seen ? ROUTER_OUTER_OTHER : ROUTER_OUTER_PUBLIC;
    case SCOPE_LINK:
    case SCOPE_ZONE:
    case SCOPE_LOOPBACK:
    case SCOPE_MULTICAST:
    case SCOPE_RESERVED:
        break;
    }
    return ROUTER_OUTER_UNKNOWN;
}

void router_view_judge(struct router_view *view, const struct address *seen)
{
    const struct router_answer *answer = &view->answer;
    view->outer = ROUTER_OUTER_UNKNOWN;
    if (answer->has_outer)
        view->outer = outer_of(&answer->outer_address, seen);
    else if (seen && (view->is_offline || is_said_by_any(view, ROUTER_OFFLINE)))
        view->outer = ROUTER_OUTER_MISSING;
}

struct signs router_view_signs(const struct router_view *view)
{
    static const struct {
        bool is_there;
        enum sign sign;
    } rows[] = {
        [ROUTER_OUTER_UNKNOWN] = {0},
        [ROUTER_OUTER_PUBLIC] = {0},
        [ROUTER_OUTER_SAME] = {true, SIGN_OUTER_SAME},
        [ROUTER_OUTER_PRIVATE] = {true, SIGN_OUTER_PRIVATE},
        [ROUTER_OUTER_CARRIER] = {true, SIGN_OUTER_CARRIER},
        [ROUTER_OUTER_OTHER] = {true, SIGN_OUTER_OTHER},
        [ROUTER_OUTER_MISSING] = {true, SIGN_OUTER_MISSING},
    };
    struct signs signs = {0};
    if (rows[view->outer].is_there)
        signs_add(&signs, rows[view->outer].sign);
    return signs;
}

/* --- what it speaks ------------------------------------------------------------------- */

bool router_view_speaks(const struct router_view *view)
{
    for (enum router_protocol i = 0; i < ROUTER_DATAGRAM_COUNT; i++)
        if (view->answer.speech[i].state == SPEECH_SPOKEN)
            return true;
    return false;
}

/* Without ANNOUNCE, or without another opcode that was tried, it may still know mappings.
 */
bool router_view_can_map(const struct router_view *view)
{
    return is_said_by_any(view, ROUTER_GRANTED) || is_said_by_any(view, ROUTER_LACKS);
}

void router_view_format_protocols(const struct router_view *view, struct text *text)
{
    const char *between = "";
    for (enum router_protocol i = ROUTER_DATAGRAM_COUNT; i-- > 0;) { /* PCP is preferred */
        if (view->answer.speech[i].state != SPEECH_SPOKEN)
            continue;
        text_printf(text, "%s%s", between, router_protocol_text(i));
        between = ", ";
    }
}

void router_view_format_outer(const struct router_view *view, struct text *text)
{
    static const char *const notes[] = {
        [ROUTER_OUTER_UNKNOWN] = " (not usable)",
        [ROUTER_OUTER_PUBLIC] = "",
        [ROUTER_OUTER_SAME] = "",
        [ROUTER_OUTER_PRIVATE] = " (private)",
        [ROUTER_OUTER_CARRIER] = " (carrier-grade NAT)",
        [ROUTER_OUTER_OTHER] = " (not the one that checkers see)",
        [ROUTER_OUTER_MISSING] = "",
    };
    char ip[ADDRESS_TEXT_SIZE];
    if (view->answer.has_outer)
        text_printf(text, "outer address %s%s",
                    address_format(&view->answer.outer_address, ip), notes[view->outer]);
    else if (is_said_by_any(view, ROUTER_OFFLINE))
        text_append_str(text, "no outer address");
    else
        text_append_str(text, "answered");
}
