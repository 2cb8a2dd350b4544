// SPDX-License-Identifier: Apache-2.0
// What zstd makes of some bytes, for tests and fuzzers: by its own calls, nothing of ours.
#pragma once

#include <zstd.h>

#include <stdexcept>
#include <string>

namespace seep::testing {

struct ZstdFrame {
  int level = ZSTD_CLEVEL_DEFAULT;
  bool checksum = true;  // At its end.
  int window_log = 0;    // Not 0: a window so large whatever is in it, as where the end is not known at the beginning.
};

// One frame.
inline std::string zstd_frame(const std::string& bytes, ZstdFrame frame = {}) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, frame.level);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, frame.checksum);
  ZSTD_inBuffer given{bytes.data(), bytes.size(), 0};
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  ZSTD_outBuffer made{out.data(), out.size(), 0};
  if (frame.window_log != 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, frame.window_log);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    while (given.pos < given.size) ZSTD_compressStream2(context, &made, &given, ZSTD_e_continue);
  }
  const size_t left = ZSTD_compressStream2(context, &made, &given, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  if (left != 0) throw std::runtime_error("zstd did not come to an end");
  out.resize(made.pos);
  return out;
}

}  // namespace seep::testing
