// SPDX-License-Identifier: Apache-2.0
// Columns of a protobuf message behind a checksum.
#include "symbols/cached_symbols.h"

#include <absl/container/flat_hash_map.h>

#include <cstring>
#include <limits>

#include "record/crc32c.h"
#include "symbol_cache.pb.h"

namespace seep {
namespace {

// More than compilers nest, and few enough that a crafted file cannot ask for much memory.
constexpr uint32_t kMostFrames = 4096;

class Strings {
 public:
  explicit Strings(proto::CachedSymbols& message) : message_(message) { (void)number_of(""); }

  uint32_t number_of(const std::string& text) {
    const auto [known, is_new] = numbers_.try_emplace(text, static_cast<uint32_t>(message_.strings_size()));
    if (is_new) message_.add_strings(text);
    return known->second;
  }

 private:
  proto::CachedSymbols& message_;
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

void add(const KnownAddress& known, uint64_t before, Strings& strings, proto::CachedSymbols& message) {
  message.add_steps(known.offset - before);
  message.add_counts(static_cast<uint32_t>(known.frames.size()));
  for (const Frame& frame : known.frames) {
    message.add_functions(strings.number_of(frame.named ? frame.function : std::string()));
    message.add_files(strings.number_of(frame.file));
    message.add_lines(frame.line);
    message.add_inlined(frame.inlined);
  }
}

// The columns fit together: what is said in one is there in the others.
bool is_consistent(const proto::CachedSymbols& message) {
  uint64_t frames = 0;
  for (const uint32_t count : message.counts()) {
    if (count == 0 || count > kMostFrames) return false;
    frames += count;
  }
  const auto has = [frames](int size) { return static_cast<uint64_t>(size) == frames; };
  const auto in_strings = [&message](uint32_t number) {
    return number < static_cast<uint32_t>(message.strings_size());
  };
  if (message.steps_size() != message.counts_size() || !has(message.functions_size()) || !has(message.files_size()) ||
      !has(message.lines_size()) || !has(message.inlined_size())) {
    return false;
  }
  uint64_t offset = 0;
  for (int index = 0; index < message.steps_size(); ++index) {
    const uint64_t step = message.steps(index);
    if (index > 0 && step == 0) return false;
    if (step > std::numeric_limits<uint64_t>::max() - offset) return false;
    offset += step;
  }
  for (const uint32_t function : message.functions()) {
    if (!in_strings(function)) return false;
  }
  for (const uint32_t file : message.files()) {
    if (!in_strings(file)) return false;
  }
  return message.strings_size() > 0 && message.strings(0).empty();
}

Frame frame_at(const proto::CachedSymbols& message, int index) {
  const auto string = [&message](uint32_t number) -> const std::string& {
    return message.strings(static_cast<int>(number));
  };
  Frame frame;
  frame.function = string(message.functions(index));
  frame.file = string(message.files(index));
  frame.line = message.lines(index);
  frame.named = !frame.function.empty();
  frame.inlined = message.inlined(index);
  return frame;
}

}  // namespace

std::string encode_symbols(std::string_view key, const std::vector<KnownAddress>& known) {
  proto::CachedSymbols message;
  message.set_key(key.data(), key.size());
  Strings strings(message);
  uint64_t before = 0;
  for (const KnownAddress& address : known) {
    add(address, before, strings, message);
    before = address.offset;
  }
  const std::string body = message.SerializeAsString();
  const uint32_t checksum = crc32c(body.data(), body.size());
  std::string bytes(kSymbolsMagic);
  bytes.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  return bytes + body;
}

std::optional<std::vector<KnownAddress>> decode_symbols(std::string_view key, std::string_view bytes) {
  uint32_t checksum = 0;
  if (!bytes.starts_with(kSymbolsMagic) || bytes.size() < kSymbolsHeadBytes) return std::nullopt;
  std::memcpy(&checksum, bytes.data() + kSymbolsMagic.size(), sizeof checksum);
  bytes.remove_prefix(kSymbolsHeadBytes);
  proto::CachedSymbols message;
  const bool whole = bytes.size() <= std::numeric_limits<int>::max() &&
                     crc32c(bytes.data(), bytes.size()) == checksum &&
                     message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  if (!whole || message.key() != key || !is_consistent(message)) return std::nullopt;
  std::vector<KnownAddress> known(static_cast<size_t>(message.steps_size()));
  uint64_t offset = 0;
  int frame = 0;
  for (size_t index = 0; index < known.size(); ++index) {
    known[index].offset = offset += message.steps(static_cast<int>(index));
    const int end = frame + static_cast<int>(message.counts(static_cast<int>(index)));
    known[index].frames.reserve(message.counts(static_cast<int>(index)));
    for (; frame < end; ++frame) known[index].frames.push_back(frame_at(message, frame));
  }
  return known;
}

}  // namespace seep
