// SPDX-License-Identifier: Apache-2.0
//
// A library that does nothing: what any preload does to a program, this one does.
int nothing_library;
