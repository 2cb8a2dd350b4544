// SPDX-License-Identifier: Apache-2.0
// zstd's streaming compression, and the check of what came of it.
#include "compression/stream_compression.h"

#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <vector>

#include "compression/file_replacement.h"
#include "error.h"
#include "recording/opened_stream.h"
#include "recording/stream_listing.h"

namespace seep {
namespace {

namespace fs = std::filesystem;

// Of a recording of python3's tests, 8.7 MiB: level 3 makes 2.0 MiB in 0.06 s, 9 1.75 MiB in 0.3 s, 15 1.74 MiB in 1.6
// s, 19 1.5 MiB in 5.4 s. Long-distance matching finds nothing more.
constexpr int kLevel = 9;
constexpr size_t kPieceBytes = 1 << 20;

struct Release {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

void write_piece(int fd, const std::string& path, const uint8_t* bytes, size_t count) {
  if (write_all(fd, {reinterpret_cast<const char*>(bytes), count})) return;
  throw Error(ExitCode::kUnreadable, path, std::string("cannot be written: ") + std::strerror(errno));
}

std::unique_ptr<ZSTD_CCtx, Release> new_context(uint64_t raw_bytes) {
  std::unique_ptr<ZSTD_CCtx, Release> context(ZSTD_createCCtx());
  if (context == nullptr) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_setPledgedSrcSize(context.get(), raw_bytes);
  return context;
}

// One frame of the first `raw_bytes` bytes.
void write_compressed(ByteSource& raw, uint64_t raw_bytes, int fd, const std::string& path) {
  const auto context = new_context(raw_bytes);
  std::vector<uint8_t> piece(kPieceBytes), out(ZSTD_CStreamOutSize());
  for (uint64_t done = 0; done < raw_bytes;) {
    const size_t count = raw.read_at(done, std::span(piece).first(std::min<uint64_t>(kPieceBytes, raw_bytes - done)));
    if (count == 0) throw Error(ExitCode::kUnreadable, path, "was cut meanwhile");
    done += count;
    const ZSTD_EndDirective directive = done == raw_bytes ? ZSTD_e_end : ZSTD_e_continue;
    ZSTD_inBuffer given{piece.data(), count, 0};
    for (size_t left = 1; directive == ZSTD_e_end ? left != 0 : given.pos < given.size;) {
      ZSTD_outBuffer made{out.data(), out.size(), 0};
      left = ZSTD_compressStream2(context.get(), &made, &given, directive);
      if (ZSTD_isError(left)) throw Error(ExitCode::kUnreadable, path, ZSTD_getErrorName(left));
      write_piece(fd, path, out.data(), made.pos);
    }
  }
}

// As the reader will read it, with its bounds.
bool says_the_same(const std::string& compressed, ByteSource& raw, uint64_t raw_bytes) {
  OpenedStream again(compressed);
  if (!again.compressed()) return false;
  std::vector<uint8_t> left(kPieceBytes), right(kPieceBytes);
  for (uint64_t done = 0;; done += kPieceBytes) {
    const size_t count = again.bytes().read_at(done, left);
    if (raw.read_at(done, right) != count ||
        !std::equal(left.begin(), left.begin() + static_cast<ptrdiff_t>(count), right.begin())) {
      return false;
    }
    if (count < kPieceBytes) return !again.damage() && done + count == raw_bytes;
  }
}

// "a.7.seep", 2 -> "a.7.2.seep".
std::string numbered(const fs::path& raw_name, int number) {
  if (number == 1) return raw_name.string();
  return raw_name.stem().string() + "." + std::to_string(number) + raw_name.extension().string();
}

}  // namespace

CompressedStream compress_stream(const std::string& path) {
  FileSource raw(path);
  const uint64_t bytes = static_cast<uint64_t>(raw.status().st_size);
  FileReplacement replacement(raw);
  write_compressed(raw, bytes, replacement.descriptor(), path);
  if (!says_the_same(replacement.temporary_path(), raw, bytes)) {
    throw Error(ExitCode::kUnreadable, path, "is not compressed: it could not be read back as it is");
  }
  const fs::path name = fs::path(path).filename();
  const std::string made =
      replacement.finish([&](int number) { return numbered(name, number) + kCompressionSuffix; },
                         [&](const std::string& there) { return are_of_one_recording(path, there); });
  return {made, bytes, fs::file_size(made)};
}

void restore_stream(const std::string& path, const std::string& raw_name) {
  OpenedStream compressed(path);
  FileReplacement replacement(compressed.file());
  std::vector<uint8_t> piece(kPieceBytes);
  for (uint64_t done = 0;;) {
    const size_t count = compressed.bytes().read_at(done, piece);
    write_piece(replacement.descriptor(), path, piece.data(), count);
    done += count;
    if (count < piece.size()) break;
  }
  if (compressed.damage())
    throw Error(ExitCode::kUnreadable, path, compressed.damage()->offset, compressed.damage()->what);
  replacement.finish([&](int) { return raw_name; },
                     [&](const std::string& there) -> bool { throw Error(ExitCode::kUnreadable, there, "is there"); });
}

}  // namespace seep
