// SPDX-License-Identifier: Apache-2.0
// Matching frames with patterns of which some (`any`) stand for any frames, also none: the known way of matching a text
// with asterisks, with frames for letters. Pure.
#pragma once

#include <cstddef>

namespace seep {

// Whether the elements match all of so many frames. `matches(element, index of the frame)`.
template <typename Elements, typename Matches>
bool matches_sequence(Elements& elements, size_t frame_count, Matches matches) {
  size_t frame = 0, element = 0;
  size_t behind_any = 0, retry_at = 0;  // 0: there was none. Only the last one needs to be gone back to.
  while (frame < frame_count) {
    if (element < elements.size() && elements[element].any) {
      behind_any = ++element;
      retry_at = frame;
    } else if (element < elements.size() && matches(elements[element], frame)) {
      ++element;
      ++frame;
    } else if (behind_any != 0) {
      element = behind_any;
      frame = ++retry_at;
    } else {
      return false;
    }
  }
  while (element < elements.size() && elements[element].any) ++element;
  return element == elements.size();
}

}  // namespace seep
