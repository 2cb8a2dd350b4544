// SPDX-License-Identifier: Apache-2.0
//
// Which sanitizer a unit test is built with: gcc defines a macro for each, clang has a feature.
#pragma once

#ifndef __has_feature
#define __has_feature(name) 0
#endif

namespace seep {

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif

#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif

// Of a long count of like cases, every seventh is run (bytes at each place of a word): a sanitizer looks at the code,
// the plain build at the cases.
inline constexpr unsigned kEveryCase = kAddressSanitizer || kThreadSanitizer ? 7 : 1;

}  // namespace seep
