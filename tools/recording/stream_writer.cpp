// SPDX-License-Identifier: Apache-2.0
// Framing on the way out.
#include "recording/stream_writer.h"

#include <cerrno>
#include <cstring>

#include "error.h"
#include "file_descriptor.h"
#include "record/crc32c.h"
#include "recording/framing.h"

namespace seep {
namespace {

std::string encode_length(size_t length) {
  std::string bytes;
  for (; length >= 0x80; length >>= 7) bytes += static_cast<char>(length | 0x80);
  bytes += static_cast<char>(length);
  return bytes;
}

}  // namespace

std::string encode_message(proto::Message message, uint64_t sequence) {
  message.set_sync(kSync);
  message.set_sequence(sequence);
  // proto3 leaves out a zero, and the trailer must stand even where the checksum is one: so it is put by hand.
  message.clear_crc32c();
  std::string body = message.SerializeAsString();
  const uint32_t checksum = crc32c(body.data(), body.size());
  body += static_cast<char>(kCrcTag);
  body.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  return encode_length(body.size()) + body;
}

void append_to_file(int fd, const std::string& path, const std::string& bytes) {
  if (write_all(fd, bytes)) return;
  throw Error(ExitCode::kUnreadable, path, std::string("cannot be written: ") + std::strerror(errno));
}

}  // namespace seep
