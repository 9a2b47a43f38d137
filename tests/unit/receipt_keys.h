/* SPDX-License-Identifier: MIT
 *
 * Keys for the tests of receipts: that of RFC 8037 appendix A, and others.
 */
#pragma once

#define RFC_PRIVATE                                                                        \
    "-----BEGIN PRIVATE KEY-----\n"                                                        \
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"                   \
    "-----END PRIVATE KEY-----\n"
#define RFC_PUBLIC                                                                         \
    "-----BEGIN PUBLIC KEY-----\n"                                                         \
    "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"                       \
    "-----END PUBLIC KEY-----\n"
#define RFC_X      "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define RFC_ID     "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

#define RFC_SIGNED "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define RFC_SIGNATURE                                                                      \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvp"         \
    "Ar_MuM0KAg"
