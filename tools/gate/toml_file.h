// SPDX-License-Identifier: Apache-2.0
// TOML as the gate's files need it: values that know their line, and tables that tell which keys nobody asked for, so
// that a misspelled one is never passed over. Any bytes may be given; what is wrong is an Error (kUsage) with file and
// line. One thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gate/origin.h"

namespace seep {

struct TomlValue;
struct TomlEntry;

// Keys in the order of their names.
class TomlTable {
 public:
  TomlTable(Origin origin, std::vector<TomlEntry> entries);
  TomlTable(const TomlTable&);
  TomlTable(TomlTable&&) noexcept;
  TomlTable& operator=(const TomlTable&);
  TomlTable& operator=(TomlTable&&) noexcept;
  ~TomlTable();

  const Origin& origin() const { return origin_; }
  std::vector<std::string> keys() const;
  // Where a key stands, else the table.
  Origin origin_of(const std::string& key) const;

  // Nothing where the key is not there; throws where it is something else.
  std::optional<std::string> text(const std::string& key);
  std::optional<bool> boolean(const std::string& key);
  std::optional<uint64_t> count(const std::string& key);  // A whole number from 0.
  std::optional<uint64_t> size(const std::string& key);   // The same, or a text as "512k".
  std::optional<double> number(const std::string& key);   // Of either kind.
  std::optional<std::chrono::sys_days> date(const std::string& key);
  // One text, or an array of texts, each with its line.
  std::vector<std::pair<std::string, Origin>> texts(const std::string& key);
  std::optional<TomlTable> table(const std::string& key);
  std::vector<TomlTable> tables(const std::string& key);  // [[key]]

  // To be called when all that is known has been asked for: throws at the first key that was not.
  void refuse_others(const std::string& known) const;

 private:
  const TomlValue* find(const std::string& key);
  Error wrong(const std::string& key, const TomlValue& value, const char* wanted) const;

  Origin origin_;
  std::vector<TomlEntry> entries_;  // Of values, of which tables are one kind.
  std::vector<std::string> asked_;
};

struct TomlValue {
  using Array = std::vector<TomlValue>;
  // Monostate: of a kind that nothing here wants (a time of day).
  std::variant<std::monostate, std::string, int64_t, double, bool, std::chrono::sys_days, Array, TomlTable> value;
  Origin origin;
};

struct TomlEntry {
  std::string key;
  TomlValue value;
};

TomlTable parse_toml(const std::string& text, const std::string& path);

// As a TOML string, quotes included. What is no UTF-8 is replaced.
std::string toml_text(const std::string& text);

// "2027-01-31"
std::string date_text(std::chrono::sys_days date);

}  // namespace seep
