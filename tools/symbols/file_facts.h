// SPDX-License-Identifier: Apache-2.0
// Files that are read for their symbols: opened only where they are regular, known by build id and by their state. Any
// thread.
#pragma once

#include <cstdint>
#include <string>

#include "file_descriptor.h"

namespace seep {

// For reading. Not open where there is none or it may not be read, and errno says why. Nothing waits: not for a pipe
// in a file's place either.
FileDescriptor open_for_reading(const std::string& path);

bool is_regular(int fd);

// Before anything else of libelf or libdw is called.
void begin_libelf();

// The GNU build id note of an open file; empty where there is none.
std::string build_id_of(int fd);

// Where below /usr/lib/debug distributions keep what belongs to a build id; empty where that is too short.
std::string debug_path_of(const std::string& build_id);

// Which file it is, and in which state, in one line: of one that is replaced, written to or touched it is another.
// Empty where that cannot be said.
std::string file_facts(int fd);
// The same of the file at a path.
std::string file_facts(const std::string& path);

}  // namespace seep
