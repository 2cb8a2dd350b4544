// SPDX-License-Identifier: Apache-2.0
// Matching a sequence with a pattern, as a text is matched with asterisks: some of its elements (`any`) stand for any part
// of the sequence, also none. Stacks are matched frame by frame, texts letter by letter. Pure.
#pragma once

#include <cstddef>

namespace seep {

// Whether the elements match all of so many places. `matches(element, place)`.
template <typename Elements, typename Matches>
bool matches_sequence(Elements& elements, size_t place_count, Matches matches) {
  size_t place = 0, element = 0;
  size_t behind_any = 0, retry_at = 0;  // 0: there was none. Only the last one needs to be gone back to.
  while (place < place_count) {
    if (element < elements.size() && elements[element].any) {
      behind_any = ++element;
      retry_at = place;
    } else if (element < elements.size() && matches(elements[element], place)) {
      ++element;
      ++place;
    } else if (behind_any != 0) {
      element = behind_any;
      place = ++retry_at;
    } else {
      return false;
    }
  }
  while (element < elements.size() && elements[element].any) ++element;
  return element == elements.size();
}

}  // namespace seep
