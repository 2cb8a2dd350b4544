// SPDX-License-Identifier: Apache-2.0
// Folding, reading, symbolizing.
#include "commands/reading.h"

#include "commands/progress_line.h"
#include "formats/human.h"
#include "recovery/fold.h"

namespace seep {

Recording read_folded(std::vector<std::string>& paths) {
  if (paths.empty()) {
    fold_before_reading(places_of_orphans_here());  // A process that was killed at once has no other recording.
    paths.push_back(newest_recording());
  }
  fold_before_reading(paths);
  return load_recording(paths);
}

Symbolizer make_symbolizer(bool no_symbol_cache) {
  return Symbolizer(no_symbol_cache ? std::nullopt : SymbolCache::of_user());
}

Profile profile_with_progress(const Recording& recording, Symbolizer& symbolizer) {
  ProgressLine progress("looking up functions");
  return build_profile(recording, symbolizer, [&](size_t done, size_t all) { progress.show(done, all); });
}

std::string shell_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + shell_quoted(word);
  return text;
}

}  // namespace seep
