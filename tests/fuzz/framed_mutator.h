// SPDX-License-Identifier: Apache-2.0
//
// A mutator for streams: random changes to bytes would only ever hit the checksum. It takes the messages out of their
// frames, changes one or moves some, and puts them back with good lengths, sequence numbers and checksums; now and then
// it leaves the frames alone, so that damage is tried, too.
//
// Runs in the fuzzers, one thread. What it does depends on the input and the seed alone.
#pragma once

#include <cstddef>
#include <cstdint>

namespace seep::fuzz {

// For LLVMFuzzerCustomMutator: changes `data` in place and returns its new size, at most `max_size`.
size_t mutate_stream(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace seep::fuzz
