// SPDX-License-Identifier: Apache-2.0
//
// A preload that holds nothing: what the loader costs for any preload at all. Start-up times are given over it.

extern const int nothing_preloaded;
const int nothing_preloaded = 0;
