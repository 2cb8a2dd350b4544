// SPDX-License-Identifier: Apache-2.0
// Demangling by the C++ runtime's own demangler, and taking demangled names apart.
#include "symbols/demangle.h"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <memory>

namespace seep {
namespace {

// What gcc and clang append to the names of a function's copies and parts.
constexpr std::array<std::string_view, 8> kCopySuffixes = {".constprop", ".isra", ".part",       ".cold",
                                                           ".lto_priv",  ".llvm", ".localalias", ".clone"};

std::string_view without_copy_suffixes(std::string_view symbol) {
  size_t end = symbol.size();
  for (const std::string_view suffix : kCopySuffixes) {
    const size_t at = symbol.find(suffix, 1);
    if (at == std::string_view::npos) continue;
    const size_t behind = at + suffix.size();
    if (behind == symbol.size() || symbol[behind] == '.') end = std::min(end, at);
  }
  return symbol.substr(0, end);
}

// "::h" and 16 hexadecimal digits at the end: a hash of the crate that changes with every build.
void remove_rust_hash(std::string& name) {
  constexpr size_t kDigits = 16;
  constexpr std::string_view kMark = "::h";
  if (name.size() < kDigits + kMark.size()) return;
  const size_t at = name.size() - kDigits - kMark.size();
  if (std::string_view(name).substr(at, kMark.size()) != kMark) return;
  const bool hash = std::all_of(name.end() - kDigits, name.end(),
                                [](char c) { return std::isxdigit(static_cast<unsigned char>(c)); });
  if (hash) name.resize(at);
}

// Whether an operator's name ends at `at`, where a '<' or '>' would otherwise be a bracket.
bool is_operator_sign(std::string_view name, size_t at) {
  constexpr std::string_view kOperator = "operator";
  size_t sign_start = at;
  while (sign_start > 0 && std::string_view("<>-=").find(name[sign_start - 1]) != std::string_view::npos) --sign_start;
  return sign_start >= kOperator.size() && name.substr(sign_start - kOperator.size(), kOperator.size()) == kOperator;
}

std::string without_template_arguments(std::string_view name) {
  std::string kept;
  int depth = 0;
  for (size_t at = 0; at < name.size(); ++at) {
    const char c = name[at];
    if ((c == '<' || c == '>') && is_operator_sign(name, at)) {
      if (depth == 0) kept += c;
      continue;
    }
    if (c == '<') ++depth;
    if (depth == 0) kept += c;
    if (c == '>' && depth > 0) --depth;
  }
  return kept;
}

}  // namespace

std::optional<std::string> demangle(const std::string& linker_name) {
  if (!linker_name.starts_with("_Z") && !linker_name.starts_with("__Z")) return std::nullopt;
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> text(
      abi::__cxa_demangle(linker_name.c_str(), nullptr, nullptr, &status), &std::free);
  if (status != 0 || text == nullptr) return std::nullopt;
  std::string name = text.get();
  remove_rust_hash(name);
  return name;
}

std::string readable_symbol(std::string_view symbol) {
  symbol = symbol.substr(0, std::max<size_t>(symbol.find('@'), 1));
  const std::string plain(without_copy_suffixes(symbol));
  return demangle(plain).value_or(plain);
}

std::string qualified_name(std::string_view function) {
  constexpr std::string_view kAnonymous = "(anonymous namespace)";
  constexpr std::string_view kCall = "operator()";
  std::string name = without_template_arguments(function);
  // The parameters begin at the first parenthesis that is not part of a name.
  size_t end = 0;
  while ((end = name.find('(', end)) != std::string::npos) {
    if (name.compare(end, kAnonymous.size(), kAnonymous) == 0) {
      end += kAnonymous.size();
    } else if (end + 2 >= kCall.size() && name.compare(end + 2 - kCall.size(), kCall.size(), kCall) == 0) {
      end += 2;
    } else {
      break;
    }
  }
  name.resize(std::min(end, name.size()));
  while (name.ends_with(' ')) name.pop_back();
  // A return type stands before the last space, unless that belongs to the name.
  for (size_t space = name.rfind(' '); space != std::string::npos && space > 0; space = name.rfind(' ', space - 1)) {
    if (space >= 8 && name.compare(space - 8, 8, "operator") == 0) continue;
    if (space >= 10 && name.compare(space - 10, kAnonymous.size(), kAnonymous) == 0) continue;
    return name.substr(space + 1);
  }
  return name;
}

}  // namespace seep
