// SPDX-License-Identifier: Apache-2.0
//
// What before_constructors has of its library, whose constructor runs before all of those that the loader runs later:
// libseep.so's among them. Runs in the program under test.
#pragma once

enum { kLibraryBlocks = 40 };
extern void* of_library[kLibraryBlocks];  // Of 300 bytes each, made by `make_in_library`.
extern int library_constructed;           // 1 after its constructor.
