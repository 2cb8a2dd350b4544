// SPDX-License-Identifier: Apache-2.0
//
// Mutations of streams by messages and by fields; see framed_mutator.h.
#include "framed_mutator.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "record/message_frame.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace seep::fuzz {
namespace {

using Random = std::minstd_rand;

struct Piece {
  uint64_t field = 0;  // 0: bytes that are no message.
  uint64_t sequence = 0;
  std::string content;
};

std::vector<Piece> pieces_of(uint8_t* data, size_t size) {
  std::vector<Piece> pieces;
  for (size_t at = 0; at < size;) {
    MessageFrame frame;
    if (read_frame(data + at, size - at, false, frame) != FrameCheck::kWhole) {
      pieces.push_back({0, 0, std::string(reinterpret_cast<char*>(data + at), size - at)});
      break;
    }
    pieces.push_back({frame.content_field, frame.sequence,
                      std::string(reinterpret_cast<char*>(frame.content), frame.content_bytes)});
    at += frame.bytes;
  }
  return pieces;
}

std::string framed(const Piece& piece, uint64_t sequence) {
  if (piece.field == 0) return piece.content;
  std::string bytes = std::string(EncoderScratch::kPrefixBytes, '\0') + piece.content;
  bytes.append(kFrameEndBytes, '\0');
  auto* data = reinterpret_cast<uint8_t*>(bytes.data());
  const uint8_t* start = write_frame(data + EncoderScratch::kPrefixBytes, piece.content.size(), piece.field, sequence);
  return bytes.substr(static_cast<size_t>(start - data));
}

void mutate_bytes(std::string& bytes, size_t room) {
  const size_t size = bytes.size();
  bytes.resize(size + room);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), size, bytes.size()));
}

uint64_t likely_number(Random& random) {
  static constexpr uint64_t kNumbers[] = {0, 1, 2, 3, 4, 7, 8, 127, 128, 1023, 1024, 1025, 65'535, 65'536, 1u << 31};
  switch (random() % 4) {
    case 0: return ~uint64_t{0} >> random() % 64;
    case 1: return random();
    default: return kNumbers[random() % std::size(kNumbers)];
  }
}

void append_field(std::string& to, uint64_t number, WireType type, uint64_t value) {
  uint8_t bytes[2 * kMaxVarintBytes];
  const uint8_t* end = write_varint(write_tag(bytes, number, type), value);
  to.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(end - bytes));
}

// Changes one field of a message, or one inside it; the lengths around it stay right.
void mutate_field(std::string& message, Random& random, unsigned depth) {
  const auto* begin = reinterpret_cast<const uint8_t*>(message.data());
  const uint8_t* const end = begin + message.size();
  std::vector<WireField> fields;
  for (const uint8_t* at = begin; at != end;) {
    WireField field;
    if (!read_field(at, end, field)) break;
    fields.push_back(field);
  }
  if (fields.empty()) return mutate_bytes(message, 16);
  const WireField& chosen = fields[random() % fields.size()];
  std::string result(begin, chosen.start);
  const std::string whole(chosen.start, chosen.end);
  switch (random() % 8) {
    case 0: break;                           // Left out,
    case 1: result += whole + whole; break;  // or twice.
    default:
      if (chosen.type == WireType::kVarint) {
        append_field(result, chosen.number, chosen.type, likely_number(random));
      } else if (chosen.type == WireType::kBytes) {
        std::string inner(chosen.data, chosen.end);
        if (depth > 0 && random() % 4 != 0) mutate_field(inner, random, depth - 1);
        else mutate_bytes(inner, 16);
        append_field(result, chosen.number, chosen.type, inner.size());
        result += inner;
      } else {
        std::string changed = whole;
        changed.back() = static_cast<char>(random());
        result += changed;
      }
  }
  result.append(chosen.end, end);
  message = std::move(result);
}

void mutate_pieces(std::vector<Piece>& pieces, Random& random) {
  const size_t chosen = random() % pieces.size();
  const auto place = [&](size_t index) { return pieces.begin() + static_cast<ptrdiff_t>(index); };
  switch (random() % 10) {
    case 0: pieces.insert(place(random() % pieces.size()), Piece(pieces[chosen])); break;
    case 1: pieces.erase(place(chosen)); break;
    case 2: std::swap(pieces[chosen], pieces[random() % pieces.size()]); break;
    case 3: pieces[chosen].field = kHeaderField + random() % 7; break;
    case 4: {  // A stretch once more, at the end.
      const size_t count = std::min<size_t>(1 + random() % 8, pieces.size() - chosen);
      const std::vector<Piece> stretch(place(chosen), place(chosen + count));
      pieces.insert(pieces.end(), stretch.begin(), stretch.end());
      break;
    }
    case 5: mutate_bytes(pieces[chosen].content, 64); break;
    default: mutate_field(pieces[chosen].content, random, 3); break;
  }
}

}  // namespace

size_t mutate_stream(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Random random(seed);
  if (size == 0 || random() % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  std::vector<Piece> pieces = pieces_of(data, size);
  for (unsigned changes = 1 + random() % 3; changes > 0 && !pieces.empty(); --changes) mutate_pieces(pieces, random);
  const bool renumber = random() % 8 != 0;
  std::string result;
  uint64_t sequence = 0;
  for (const Piece& piece : pieces) {
    const std::string message = framed(piece, renumber ? sequence : piece.sequence);
    if (result.size() + message.size() > max_size) break;
    result += message;
    ++sequence;
  }
  std::copy(result.begin(), result.end(), data);
  return result.size();
}

}  // namespace seep::fuzz
