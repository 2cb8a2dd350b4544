// SPDX-License-Identifier: Apache-2.0
// Walking an encoded message along its descriptor.
#include "recording/text_repair.h"

#include <cstddef>

namespace seep {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// How many bytes the UTF-8 sequence at the front has; 0 where there is none. Neither overlong forms nor surrogates.
size_t sequence_bytes(std::span<const uint8_t> text) {
  const uint8_t first = text[0];
  if (first < 0x80) return 1;
  const size_t count = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < count) return 0;
  for (size_t index = 1; index < count; ++index) {
    if ((text[index] & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = text[1];
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool outside = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
  return overlong || outside ? 0 : count;
}

bool repair_string(std::span<uint8_t> text) {
  bool changed = false;
  while (!text.empty()) {
    size_t count = sequence_bytes(text);
    if (count == 0) {
      text[0] = '?';
      changed = true;
      count = 1;
    }
    text = text.subspan(count);
  }
  return changed;
}

// Takes a varint off the front. False where the bytes end inside it.
bool take_varint(std::span<uint8_t>& bytes, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const uint8_t byte = bytes[0];
    bytes = bytes.subspan(1);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) return true;
  }
  return false;
}

bool skip(std::span<uint8_t>& bytes, uint64_t count) {
  if (count > bytes.size()) return false;
  bytes = bytes.subspan(static_cast<size_t>(count));
  return true;
}

// The content of a length-delimited field, by what the schema says it is.
bool repair_content(std::span<uint8_t> content, const FieldDescriptor* field) {
  if (field == nullptr) return false;
  if (field->type() == FieldDescriptor::TYPE_STRING) return repair_string(content);
  if (field->type() == FieldDescriptor::TYPE_MESSAGE) return repair_text(content, *field->message_type());
  return false;
}

}  // namespace

// The schema does not nest without end, so neither does this.
bool repair_text(std::span<uint8_t> message, const Descriptor& type) {
  bool changed = false;
  uint64_t tag = 0;
  while (!message.empty() && take_varint(message, tag)) {
    uint64_t value = 0;
    switch (tag & 7) {
      case 0:
        if (!take_varint(message, value)) return changed;
        break;
      case 1:
        if (!skip(message, 8)) return changed;
        break;
      case 2: {
        if (!take_varint(message, value) || value > message.size()) return changed;
        const auto content = message.first(static_cast<size_t>(value));
        changed |= repair_content(content, type.FindFieldByNumber(static_cast<int>(tag >> 3)));
        message = message.subspan(content.size());
        break;
      }
      case 5:
        if (!skip(message, 4)) return changed;
        break;
      default: return changed;
    }
  }
  return changed;
}

}  // namespace seep
