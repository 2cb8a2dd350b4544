// SPDX-License-Identifier: Apache-2.0
// From debug information's paths to the repository's.
#include "formats/source_place.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <filesystem>

#include "text.h"

namespace seep {
namespace {

// What lies below the root; nothing where the path does not. A relative one, as -ffile-prefix-map leaves it, is taken
// for one from the root.
std::optional<std::string> below(const std::string& path, const std::string& root) {
  const std::string normal = std::filesystem::path(path).lexically_normal().string();
  if (!normal.starts_with('/')) {
    return normal.starts_with("..") || normal.empty() ? std::nullopt : std::optional(normal);
  }
  const std::string directory = root.ends_with('/') ? root : root + "/";
  if (root.empty() || !normal.starts_with(directory) || normal.size() == directory.size()) return std::nullopt;
  return normal.substr(directory.size());
}

}  // namespace

std::optional<SourcePlace> place_of(const Frame& frame, const std::string& source_root) {
  if (frame.file.empty()) return std::nullopt;
  const auto relative = below(frame.file, source_root);
  return SourcePlace{.path = valid_utf8(relative.value_or(frame.file)),
                     .line = std::max(frame.line, 1U),
                     .in_root = relative.has_value(),
                     .function = valid_utf8(frame.function)};
}

SourcePlace place_of(const ShownStack& shown, const std::string& source_root) {
  const Stack stack = shown.frames();
  const size_t begin = shown.runtime_frames;
  const size_t end = stack.size() - shown.starting_frames;
  std::optional<SourcePlace> elsewhere;
  for (size_t index = begin; index < end; ++index) {
    const auto place = place_of(*stack[index], source_root);
    if (place && place->in_root) return *place;
    if (place && !elsewhere) elsewhere = place;
  }
  if (elsewhere) return *elsewhere;
  const Frame& innermost = *stack[std::min(begin, stack.size() - 1)];
  const std::string module = innermost.module.empty() ? "unknown" : innermost.module;
  return {.path = valid_utf8(below(module, source_root).value_or(module)), .function = valid_utf8(innermost.function)};
}

std::string uri_path(const std::string& path) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=@/";
  std::string uri;
  for (const char c : path) {
    if (kPlain.find(c) != kPlain.npos) {
      uri += c;
    } else {
      absl::StrAppendFormat(&uri, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return uri;
}

}  // namespace seep
