// SPDX-License-Identifier: Apache-2.0
// Valgrind's suppressions, as its manual describes them ("Suppressing errors", "Writing suppression files"):
//
//     {
//        a name
//        Memcheck:Leak
//        match-leak-kinds: definite,possible
//        fun:malloc
//        fun:make_message
//        ...
//        obj:*/libplugin.so
//     }
//
// A line for each frame, innermost first, that begin at the allocating function and need not go out to main. Two
// things differ from what Valgrind itself sees. It has the allocating function as a frame, seep has its caller first:
// so a frame of that kind is put in front, which has all of their names. And it compares linker names, seep has names
// as people write them: a linker name in a pattern is translated.
#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <memory>

#include "gate/suppression.h"
#include "sequence_match.h"
#include "symbols/demangle.h"
#include "text.h"

namespace seep {
namespace {

// What Valgrind puts in the place of the allocating functions.
constexpr std::string_view kAllocators[] = {"malloc",
                                            "calloc",
                                            "realloc",
                                            "reallocarray",
                                            "memalign",
                                            "posix_memalign",
                                            "valloc",
                                            "aligned_alloc",
                                            "pvalloc",
                                            "_Znwm",
                                            "_Znam",
                                            "_ZnwmRKSt9nothrow_t",
                                            "_ZnamRKSt9nothrow_t",
                                            "_ZnwmSt11align_val_t",
                                            "_ZnamSt11align_val_t",
                                            "_ZnwmSt11align_val_tRKSt9nothrow_t",
                                            "_ZnamSt11align_val_tRKSt9nothrow_t",
                                            "__builtin_new",
                                            "__builtin_vec_new"};
constexpr std::string_view kAllocatorsObject = "/usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so";

enum class Subject { kAny, kFunction, kObject, kSource };

struct Element {
  bool any = false;  // "...".
  Subject subject = Subject::kAny;
  std::string pattern;           // As it stands there.
  std::string function;          // Of a function: a pattern for what people write,
  bool with_parameters = false;  // which has them.
  uint32_t line = 0;             // Of a source; 0: any.
  absl::flat_hash_map<const Frame*, bool> known = {};
};

struct Pattern {
  std::vector<Element> elements;
};

// "_ZN3foo3bar*" -> "foo::bar*". Nothing where it is not that simple.
std::optional<std::string> unmangled_beginning(std::string_view mangled) {
  mangled.remove_prefix(std::string_view("_Z").size());
  if (mangled.starts_with('N')) mangled.remove_prefix(1);
  while (!mangled.empty() && std::string_view("KVr").find(mangled.front()) != std::string_view::npos) {
    mangled.remove_prefix(1);
  }
  std::string name;
  while (!mangled.empty() && std::isdigit(static_cast<unsigned char>(mangled.front()))) {
    size_t length = 0;
    const auto [end, failed] = std::from_chars(mangled.data(), mangled.data() + mangled.size(), length);
    mangled.remove_prefix(static_cast<size_t>(end - mangled.data()));
    if (failed != std::errc()) return std::nullopt;
    const std::string_view part = mangled.substr(0, length);
    name += (name.empty() ? "" : "::") + std::string(part == "_GLOBAL__N_1" ? "(anonymous namespace)" : part);
    if (part.find_first_of("*?") != part.npos) return name.find('*') == name.npos ? name + "*" : name;
    mangled.remove_prefix(part.size());
  }
  return name.empty() ? std::nullopt : std::optional(name + "*");
}

// Sets what a frame's function is compared with; false where that cannot be known.
bool translate(Element& element) {
  std::string name = element.pattern.substr(0, element.pattern.find('@'));  // Without the version of a symbol.
  if (!name.starts_with("_Z")) {
    element.function = name;
    return true;
  }
  const bool wild = name.find_first_of("*?") != name.npos;
  const auto readable = wild ? unmangled_beginning(name) : demangle(name);
  if (!readable) return false;
  element.function = *readable;
  element.with_parameters = !wild && readable->find('(') != readable->npos;
  return true;
}

bool matches_function(const Element& element, const Frame& frame) {
  if (!frame.named) return false;
  const std::string bare = qualified_name(frame.function);
  if (!element.with_parameters) {
    // Of an inlined function Valgrind knows the mere name.
    const size_t scope = bare.rfind("::");
    const std::string_view innermost = std::string_view(bare).substr(scope == bare.npos ? 0 : scope + 2);
    return matches_glob(frame.function, element.function) || matches_glob(bare, element.function) ||
           matches_glob(innermost, element.function);
  }
  // A function that only its module knows may stand in the debug information without its parameters.
  return frame.function == element.function || (frame.function == bare && bare == qualified_name(element.function));
}

bool matches_source(const Element& element, const Frame& frame) {
  if (frame.file.empty() || (element.line != 0 && element.line != frame.line)) return false;
  return matches_glob(frame.file, element.pattern) || matches_glob(module_base_name(frame.file), element.pattern);
}

bool matches_frame(Element& element, const Frame& frame) {
  const auto [entry, is_new] = element.known.try_emplace(&frame, false);
  if (!is_new) return entry->second;
  switch (element.subject) {
    case Subject::kFunction: entry->second = matches_function(element, frame); break;
    case Subject::kObject: entry->second = matches_glob(frame.module, element.pattern); break;
    case Subject::kSource: entry->second = matches_source(element, frame); break;
    case Subject::kAny: entry->second = true;
  }
  return entry->second;
}

bool matches_allocator(const Element& element) {
  if (element.subject == Subject::kObject) return matches_glob(kAllocatorsObject, element.pattern);
  if (element.subject == Subject::kSource) return false;
  return std::any_of(std::begin(kAllocators), std::end(kAllocators),
                     [&](std::string_view name) { return matches_glob(name, element.pattern); });
}

// operator new is to Valgrind the allocating function, to seep a frame of its own.
size_t operator_frames(const Stack& stack) {
  const auto is_operator = [](const Frame* frame) { return frame->function.starts_with("operator new"); };
  return static_cast<size_t>(std::find_if_not(stack.begin(), stack.end(), is_operator) - stack.begin());
}

bool matches(Pattern& pattern, const ShownStack& shown) {
  const Stack stack = shown.frames();
  const size_t operators = operator_frames(stack);
  for (const size_t begin : {operators, size_t{0}}) {
    const bool matched = matches_sequence(pattern.elements, stack.size() - begin + 1, [&](Element& element, size_t at) {
      return at == 0 ? matches_allocator(element) : matches_frame(element, *stack[begin + at - 1]);
    });
    if (matched) return true;
    if (operators == 0) break;
  }
  return false;
}

// Reads one file.
class Reader {
 public:
  Reader(const std::string& text, std::string path) : lines_(lines_of(text)), path_(std::move(path)) {}

  std::vector<Suppression> read() {
    std::vector<Suppression> suppressions;
    while (next()) {
      if (line_.text != "{") throw wrong("a suppression must begin with { alone on its line");
      if (auto suppression = read_entry()) suppressions.push_back(std::move(*suppression));
    }
    return suppressions;
  }

 private:
  // The next line that says something; false at the end.
  bool next() {
    while (at_ < lines_.size()) {
      line_ = lines_[at_++];
      if (!line_.text.empty() && !line_.text.starts_with('#')) return true;
    }
    return false;
  }

  // A line inside of an entry.
  void inside() {
    if (!next()) throw usage_error({path_, opened_}, "begins a suppression that has no end");
  }

  Error wrong(const std::string& what) const {
    return usage_error({path_, line_.number}, what + ", not '" + printable(line_.text.substr(0, 40)) + "'");
  }

  // Nothing: of another tool, or of another error than a leak.
  std::optional<Suppression> read_entry() {
    opened_ = line_.number;
    inside();
    const std::string name(line_.text);
    inside();
    const bool is_leak = is_memcheck_leak();
    Suppression suppression{.text = name, .origin = {path_, opened_}, .matches = {}};
    const auto pattern = std::make_shared<Pattern>();
    for (inside(); line_.text != "}"; inside()) {
      if (is_leak) read_line(suppression, *pattern);
    }
    if (!is_leak) return std::nullopt;
    if (pattern->elements.empty()) throw usage_error(suppression.origin, "is a suppression without a frame");
    pattern->elements.push_back({.any = true});  // The frames further out are not looked at.
    suppression.matches = [pattern](const ShownStack& shown) { return matches(*pattern, shown); };
    return suppression;
  }

  bool is_memcheck_leak() const {
    const size_t colon = line_.text.find(':');
    if (colon == line_.text.npos) throw wrong("the second line of a suppression must be as Memcheck:Leak");
    const std::string tools = "," + std::string(line_.text.substr(0, colon)) + ",";
    return tools.find(",Memcheck,") != tools.npos && trimmed(line_.text.substr(colon + 1)) == "Leak";
  }

  void read_line(Suppression& suppression, Pattern& pattern) const {
    constexpr std::string_view kKinds = "match-leak-kinds:";
    if (line_.text.starts_with(kKinds)) {
      suppression.kinds = read_kinds(line_.text.substr(kKinds.size()));
    } else if (line_.text == "...") {
      pattern.elements.push_back({.any = true});
    } else {
      pattern.elements.push_back(read_frame());
      Element& frame = pattern.elements.back();
      const bool known = frame.subject != Subject::kFunction || translate(frame) || matches_allocator(frame);
      if (!known) suppression.trouble = "the linker name " + frame.pattern + " cannot be translated";
    }
  }

  VerdictSet read_kinds(std::string_view text) const {
    VerdictSet kinds;
    while (!text.empty()) {
      const size_t comma = std::min(text.find(','), text.size());
      const std::string_view name = trimmed(text.substr(0, comma));
      text.remove_prefix(std::min(comma + 1, text.size()));
      if (name == "all") {
        kinds = VerdictSet::all();
      } else if (const auto verdict = verdict_of(name); verdict && *verdict != Verdict::kLive) {
        kinds.add(*verdict);
      } else if (name != "none") {
        throw wrong("match-leak-kinds: must be some of definite, indirect, possible, reachable, all, none");
      }
    }
    return kinds;
  }

  Element read_frame() const {
    const size_t colon = std::min(line_.text.find(':'), line_.text.size());
    const std::string_view kind = line_.text.substr(0, colon);
    Element element;
    element.pattern = trimmed(line_.text.substr(std::min(colon + 1, line_.text.size())));
    if (kind == "fun") element.subject = Subject::kFunction;
    if (kind == "obj") element.subject = Subject::kObject;
    if (kind == "src") element.subject = Subject::kSource;
    if (element.subject == Subject::kAny || element.pattern.empty()) {
      throw wrong("a frame must be fun:NAME, obj:PATH, src:FILE:LINE or ...");
    }
    if (element.subject == Subject::kSource) take_line_number(element);
    return element;
  }

  static void take_line_number(Element& element) {
    const size_t colon = element.pattern.rfind(':');
    if (colon == std::string::npos) return;
    const char* end = element.pattern.data() + element.pattern.size();
    uint32_t line = 0;
    const auto [behind, failed] = std::from_chars(element.pattern.data() + colon + 1, end, line);
    if (failed != std::errc() || behind != end) return;
    element.line = line;
    element.pattern.resize(colon);
  }

  std::vector<TextLine> lines_;
  std::string path_;
  size_t at_ = 0;
  TextLine line_;
  uint32_t opened_ = 0;
};

}  // namespace

std::vector<Suppression> parse_valgrind_suppressions(const std::string& text, const std::string& path) {
  return Reader(text, path).read();
}

}  // namespace seep
