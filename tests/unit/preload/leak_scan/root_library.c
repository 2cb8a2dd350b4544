// SPDX-License-Identifier: Apache-2.0
//
// A library that the tests of the roots load: data of each kind that a library has.
#include <stdint.h>

uint64_t library_data = 1;
uint64_t library_bss;
__thread uint64_t library_tls = 3;

uint64_t* address_of_library_tls(void) { return &library_tls; }
