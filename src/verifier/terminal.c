/* SPDX-License-Identifier: MIT */
#include "verifier/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEFAULT_COLUMNS 80

bool terminal_is_capable(int fd)
{
    const char *terminal = getenv("TERM");
    return isatty(fd) && !(terminal && strcmp(terminal, "dumb") == 0);
}

unsigned terminal_columns(int fd)
{
    struct winsize window;
    bool is_known = ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    return is_known ? window.ws_col : DEFAULT_COLUMNS;
}
