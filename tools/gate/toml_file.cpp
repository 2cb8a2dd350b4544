// SPDX-License-Identifier: Apache-2.0
// From toml++'s nodes to values that know their line. Nothing else includes its header, which takes seconds to compile.
#include "gate/toml_file.h"

// toml++ 3.3 asserts, or without assertions has the compiler assume, what some wrong files do not keep to ("[[" and a
// letter that begins no key), and goes on to say what is wrong with them. So they are to be neither; tests/fuzz looks
// after what this may cost. See also in_ascii().
#undef NDEBUG
#define TOML_ASSERT(condition) static_assert(true)
#include <absl/strings/str_format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "text.h"

namespace seep {
namespace {

constexpr char kMark = '~';
constexpr char kByteOrderMark[] = "\xEF\xBB\xBF";

// As toml++ is given it: the bytes of letters that are not ASCII, and marks, each as a mark with two hexadecimal
// digits. Of a letter that is not ASCII toml++ 3.3 asks whether it is white space in a way that leaves the defined
// behaviour of C++. Outside of quotes neither they nor marks are TOML.
std::string in_ascii(std::string_view text) {
  std::string ascii;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x80 && c != kMark) {
      ascii += c;
    } else {
      absl::StrAppendFormat(&ascii, "%c%02X", kMark, static_cast<unsigned char>(c));
    }
  }
  return ascii;
}

std::string from_ascii(std::string_view ascii) {
  std::string text;
  for (size_t at = 0; at < ascii.size(); ++at) {
    unsigned byte = 0;
    const char* digits = ascii.data() + at + 1;
    const bool marked =
        ascii[at] == kMark && at + 2 < ascii.size() && std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2;
    text += marked ? static_cast<char>(byte) : ascii[at];
    if (marked) at += 2;
  }
  return text;
}

void check_utf8(const std::string& text, const std::string& path) {
  const std::string valid = valid_utf8(text);
  if (valid == text) return;
  const auto wrong = std::mismatch(text.begin(), text.end(), valid.begin(), valid.end()).first;
  const auto line = static_cast<uint32_t>(std::count(text.begin(), wrong, '\n') + 1);
  throw usage_error({path, line}, "is no text: a letter that is not UTF-8");
}

Origin origin_at(const toml::source_region& region, const std::string& path) { return {path, region.begin.line}; }

TomlValue converted(const toml::node& node, const std::string& path);

TomlTable converted_table(const toml::table& table, const std::string& path) {
  std::vector<TomlEntry> entries;
  for (const auto& [key, node] : table) entries.push_back({from_ascii(key.str()), converted(node, path)});
  return TomlTable(origin_at(table.source(), path), std::move(entries));
}

TomlValue converted(const toml::node& node, const std::string& path) {
  TomlValue result{{}, origin_at(node.source(), path)};
  if (const auto* text = node.as_string()) result.value = from_ascii(text->get());
  if (const auto* integer = node.as_integer()) result.value = integer->get();
  if (const auto* real = node.as_floating_point()) result.value = real->get();
  if (const auto* boolean = node.as_boolean()) result.value = boolean->get();
  if (const auto* date = node.as_date()) {
    const toml::date day = date->get();
    result.value = std::chrono::sys_days(std::chrono::year(day.year) / day.month / day.day);
  }
  if (const auto* table = node.as_table()) result.value = converted_table(*table, path);
  if (const auto* array = node.as_array()) {
    TomlValue::Array values;
    for (const toml::node& each : *array) values.push_back(converted(each, path));
    result.value = std::move(values);
  }
  return result;
}

std::string quoted(const std::string& key) { return "'" + printable(key) + "'"; }

}  // namespace

TomlTable::TomlTable(Origin origin, std::vector<TomlEntry> entries)
    : origin_(std::move(origin)), entries_(std::move(entries)) {}
TomlTable::TomlTable(const TomlTable&) = default;
TomlTable::TomlTable(TomlTable&&) noexcept = default;
TomlTable& TomlTable::operator=(const TomlTable&) = default;
TomlTable& TomlTable::operator=(TomlTable&&) noexcept = default;
TomlTable::~TomlTable() = default;

std::vector<std::string> TomlTable::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : entries_) keys.push_back(key);
  return keys;
}

Origin TomlTable::origin_of(const std::string& key) const {
  for (const auto& [name, value] : entries_) {
    if (name == key) return value.origin;
  }
  return origin_;
}

const TomlValue* TomlTable::find(const std::string& key) {
  asked_.push_back(key);
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const TomlEntry& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &found->value;
}

Error TomlTable::wrong(const std::string& key, const TomlValue& value, const char* wanted) const {
  return usage_error(value.origin, key + " must be " + wanted);
}

std::optional<std::string> TomlTable::text(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* text = std::get_if<std::string>(&value->value)) return *text;
  throw wrong(key, *value, "a text in quotes");
}

std::optional<bool> TomlTable::boolean(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* boolean = std::get_if<bool>(&value->value)) return *boolean;
  throw wrong(key, *value, "true or false");
}

std::optional<uint64_t> TomlTable::count(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* integer = std::get_if<int64_t>(&value->value);
  if (integer != nullptr && *integer >= 0) return static_cast<uint64_t>(*integer);
  throw wrong(key, *value, "a whole number from 0 on");
}

std::optional<uint64_t> TomlTable::size(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) return count(key);
  if (const auto size = size_in(*text)) return size;
  throw wrong(key, *value, "a number of bytes, such as 4096 or \"512k\"");
}

std::optional<double> TomlTable::number(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* real = std::get_if<double>(&value->value)) return *real;
  if (const auto* integer = std::get_if<int64_t>(&value->value)) return static_cast<double>(*integer);
  throw wrong(key, *value, "a number");
}

std::optional<std::chrono::sys_days> TomlTable::date(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* date = std::get_if<std::chrono::sys_days>(&value->value)) return *date;
  throw wrong(key, *value, "a date without quotes, such as 2027-01-31");
}

std::vector<std::pair<std::string, Origin>> TomlTable::texts(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return {};
  if (const auto* text = std::get_if<std::string>(&value->value)) return {{*text, value->origin}};
  std::vector<std::pair<std::string, Origin>> texts;
  const auto* array = std::get_if<TomlValue::Array>(&value->value);
  if (array == nullptr) throw wrong(key, *value, "a text in quotes, or a list of such");
  for (const TomlValue& each : *array) {
    const auto* text = std::get_if<std::string>(&each.value);
    if (text == nullptr) throw wrong(key, each, "a list of texts in quotes");
    texts.emplace_back(*text, each.origin);
  }
  return texts;
}

std::optional<TomlTable> TomlTable::table(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* table = std::get_if<TomlTable>(&value->value)) return *table;
  throw wrong(key, *value, "a table");
}

std::vector<TomlTable> TomlTable::tables(const std::string& key) {
  const TomlValue* value = find(key);
  if (value == nullptr) return {};
  const std::string wanted = "a table, as [[" + key + "]] begins one";
  const auto* array = std::get_if<TomlValue::Array>(&value->value);
  if (array == nullptr) throw wrong(key, *value, wanted.c_str());
  std::vector<TomlTable> tables;
  for (const TomlValue& each : *array) {
    const auto* table = std::get_if<TomlTable>(&each.value);
    if (table == nullptr) throw wrong(key, each, wanted.c_str());
    tables.push_back(*table);
  }
  return tables;
}

void TomlTable::refuse_others(const std::string& known) const {
  for (const auto& [key, value] : entries_) {
    if (std::find(asked_.begin(), asked_.end(), key) != asked_.end()) continue;
    throw usage_error(value.origin, "unknown key " + quoted(key) + " (known are " + known + ")");
  }
}

TomlTable parse_toml(const std::string& text, const std::string& path) {
  check_utf8(text, path);
  const std::string ascii = in_ascii(text.substr(text.starts_with(kByteOrderMark) ? sizeof kByteOrderMark - 1 : 0));
  try {
    return converted_table(toml::parse(std::string_view(ascii)), path);
  } catch (const toml::parse_error& error) {
    throw usage_error(origin_at(error.source(), path), printable(from_ascii(error.description())));
  }
}

std::string toml_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : valid_utf8(text)) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(&quoted, "\\u%04X", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string date_text(std::chrono::sys_days date) {
  const std::chrono::year_month_day day(date);
  return absl::StrFormat("%04d-%02u-%02u", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                         static_cast<unsigned>(day.day()));
}

}  // namespace seep
