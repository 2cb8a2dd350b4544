// SPDX-License-Identifier: Apache-2.0
// Makes the text fields of an encoded message valid UTF-8, which protobuf demands of them. Pure; any thread.
//
// Arguments, paths and thread names are bytes to Linux, and a recorder writes them as they are. A protobuf library
// refuses the whole message for one such byte; a reader that lost a header for it would be of no use.
#pragma once

#include <google/protobuf/descriptor.h>

#include <cstdint>
#include <span>

namespace seep {

// Puts '?' in place of each byte that is not UTF-8, in string fields alone; no length changes. False: nothing did.
bool repair_text(std::span<uint8_t> message, const google::protobuf::Descriptor& type);

}  // namespace seep
