// SPDX-License-Identifier: Apache-2.0
// Composing names from DIEs.
#include "symbols/dwarf_names.h"

#include <dwarf.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "symbols/demangle.h"

namespace seep {
namespace {

// Guards against a chain of references that never ends, in a broken file.
constexpr int kMaximumReferences = 16;

const char* linkage_name(Dwarf_Die& function) {
  for (const unsigned int name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    Dwarf_Attribute attribute;
    if (dwarf_attr_integrate(&function, name, &attribute) != nullptr) return dwarf_formstring(&attribute);
  }
  return nullptr;
}

// The DIE that stands where the function was declared, inside its class or namespace.
Dwarf_Die declaration_of(Dwarf_Die function) {
  for (int step = 0; step < kMaximumReferences; ++step) {
    Dwarf_Attribute attribute;
    Dwarf_Die next;
    const bool refers = dwarf_attr(&function, DW_AT_abstract_origin, &attribute) != nullptr ||
                        dwarf_attr(&function, DW_AT_specification, &attribute) != nullptr;
    if (!refers || dwarf_formref_die(&attribute, &next) == nullptr) break;
    function = next;
  }
  return function;
}

// What a scope adds in front of "::name"; empty: nothing.
std::string scope_name(Dwarf_Die& scope) {
  const char* name = dwarf_diename(&scope);
  switch (dwarf_tag(&scope)) {
    case DW_TAG_namespace: return name == nullptr ? "(anonymous namespace)" : name;
    case DW_TAG_class_type:
    case DW_TAG_structure_type:
    case DW_TAG_union_type:
    case DW_TAG_enumeration_type:
    case DW_TAG_interface_type:
      // An unnamed class with functions is a lambda, as a rule: gcc gives it no name.
      return name == nullptr ? "{lambda}" : name;
    case DW_TAG_module: return name == nullptr ? "" : name;
    case DW_TAG_subprogram: return name == nullptr ? "" : std::string(name) + "()";
    default: return {};
  }
}

bool has_scopes(Dwarf_Die& die) {
  Dwarf_Die unit;
  if (dwarf_diecu(&die, &unit, nullptr, nullptr) == nullptr) return false;
  switch (dwarf_srclang(&unit)) {
    case DW_LANG_C:
    case DW_LANG_C89:
    case DW_LANG_C99:
    case DW_LANG_C11:
    case DW_LANG_Mips_Assembler: return false;
    default: return true;
  }
}

std::string scoped_name(Dwarf_Die& function, const std::string& name) {
  Dwarf_Die declaration = declaration_of(function);
  if (!has_scopes(declaration)) return name;
  Dwarf_Die* scopes = nullptr;
  const int count = dwarf_getscopes_die(&declaration, &scopes);
  const std::unique_ptr<Dwarf_Die, decltype(&std::free)> owner(scopes, &std::free);
  std::string full = name;
  for (int index = 1; index < count; ++index) {  // 0 is the function.
    const std::string scope = scope_name(scopes[index]);
    if (!scope.empty()) full = scope + "::" + full;
  }
  return full;
}

}  // namespace

std::string dwarf_function_name(Dwarf_Die& function) {
  const char* linker_name = linkage_name(function);
  if (linker_name != nullptr) {
    if (auto name = demangle(linker_name)) return *name;
  }
  const char* name = dwarf_diename(&function);
  if (name != nullptr) return scoped_name(function, name);
  return linker_name == nullptr ? std::string() : linker_name;
}

std::string absolute_source_path(Dwarf_Die& unit, const char* name) {
  if (name == nullptr || *name == '\0') return {};
  std::filesystem::path path = name;
  Dwarf_Attribute attribute;
  if (path.is_relative() && dwarf_attr(&unit, DW_AT_comp_dir, &attribute) != nullptr) {
    // A relative directory is in the path already: libdw composes them.
    const char* directory = dwarf_formstring(&attribute);
    if (directory != nullptr && *directory == '/') path = std::filesystem::path(directory) / path;
  }
  return path.lexically_normal().string();
}

std::string dwarf_file_name(Dwarf_Die& unit, uint64_t file_number) {
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (dwarf_getsrcfiles(&unit, &files, &count) != 0 || file_number >= count) return {};
  return absolute_source_path(unit, dwarf_filesrc(files, file_number, nullptr, nullptr));
}

}  // namespace seep
