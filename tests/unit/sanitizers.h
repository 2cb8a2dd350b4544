// SPDX-License-Identifier: Apache-2.0
//
// Which sanitizer a unit test is built with. Of the thread sanitizer record/aside.h tells; of the address sanitizer gcc
// has a macro, clang a feature.
#pragma once

#include "record/aside.h"

#ifndef __has_feature
#define __has_feature(name) 0
#endif

namespace seep {

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

// Of a long count of like cases, every seventh is run (bytes at each place of a word): a sanitizer looks at the code,
// the plain build at the cases.
inline constexpr unsigned kEveryCase = kAddressSanitizer || kUnderThreadSanitizer ? 7 : 1;

}  // namespace seep
