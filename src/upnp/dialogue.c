/* SPDX-License-Identifier: MIT */
#include "upnp/dialogue.h"

void dialogue_init(struct dialogue *dialogue, const struct igd *igd,
                   const struct request *request)
{
    *dialogue = (struct dialogue){.igd = igd, .request = request, .lease = request->lease};
    address_format(&request->local, dialogue->local);
}

int dialogue_result(int result)
{
    return result >= 0 && result <= UINT16_MAX ? result : ANSWER_SILENT;
}
