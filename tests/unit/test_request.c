/* SPDX-License-Identifier: MIT */
#include "http/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
int main(void) { return 0; }
