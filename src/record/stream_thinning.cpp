// SPDX-License-Identifier: Apache-2.0
//
// The files of a thinning; see stream_thinning.h.
#include "record/stream_thinning.h"

#include "record/system.h"
#include "record/text.h"

namespace seep {
namespace {

constexpr char kCopySuffix[] = ".thinned";
constexpr size_t kFullPathBytes = sizeof(Identity::stream_path) + 64 + sizeof kCopySuffix;

struct Paths {
  Paths(Region region, const char* root) {
    const char* stream = region.header().identity.stream_path;
    TextBuilder source_text(source, sizeof source), target_text(target, sizeof target);
    for (TextBuilder* text : {&source_text, &target_text}) {
      text->add(root);
      text->add(stream);
    }
    target_text.add(kCopySuffix);
    fit = source_text.complete() && target_text.complete();
  }

  char source[kFullPathBytes], target[kFullPathBytes];
  bool fit;
};

// Both files, open for one slice.
class Files {
 public:
  Files(const Paths& paths, int target_flags)
      : source_(sys::open(paths.source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)),
        target_(sys::open(paths.target, O_RDWR | O_NOFOLLOW | O_NONBLOCK | target_flags, 0600)),
        most_bytes_(sys::resource_limit(RLIMIT_FSIZE)) {
    if ((target_flags & O_CREAT) != 0 && !sys::failed(target_)) system_call(SYS_fchmod, target_, 0600);
    good_ = !sys::failed(source_) && !sys::failed(target_) && !sys::failed(sys::status_fd(source_, &source)) &&
            !sys::failed(sys::status_fd(target_, &target));
  }
  ~Files() {
    if (!sys::failed(source_)) sys::close(source_);
    if (!sys::failed(target_)) sys::close(target_);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

  [[nodiscard]] bool good() const { return good_; }

  static int64_t read_at(void* context, uint64_t offset, void* into, size_t bytes) {
    const Files& files = *static_cast<Files*>(context);
    return sys::read_at(files.source_, into, bytes, offset);
  }
  static bool append(void* context, const void* data, size_t bytes) {
    Files& files = *static_cast<Files*>(context);
    const uint64_t at = static_cast<uint64_t>(files.target.st_size);
    if (at + bytes > files.most_bytes_ || !sys::write_all(files.target_, data, bytes)) return false;
    files.target.st_size += static_cast<off_t>(bytes);
    return true;
  }

  struct stat source {
  }, target{};

 private:
  long source_, target_;
  uint64_t most_bytes_;
  bool good_;
};

// Its name in the directory stays the stream's at every instant.
bool put_in_place(RegionHeader& header, const StreamThinning& thinning, const Paths& paths) {
  StreamContents& next = header.stream.replacement;
  next.bytes = thinning.thinner.written_bytes();
  next.next_sequence = thinning.thinner.next_sequence();
  next.thinned_snapshots = header.stream.now.thinned_snapshots + thinning.thinner.removed_snapshots();
  next.inode = thinning.target_inode;  // From here on both names are known.
  return !sys::failed(sys::rename(paths.target, paths.source));
}

}  // namespace

bool wants_thinning(const RegionHeader& header) noexcept {
  const uint64_t most_bytes = header.identity.max_stream_bytes;
  const StreamState& stream = header.stream;
  if (most_bytes == 0 || stream.now.bytes <= most_bytes) return false;
  return stream.now.bytes > stream.bytes_after_thinning + stream.bytes_after_thinning / 8;
}

bool begin_thinning(Region region, StreamThinning& thinning, const char* root, void* table,
                    size_t table_bytes) noexcept {
  RegionHeader& header = region.header();
  StreamState& stream = header.stream;
  stream.bytes_after_thinning = stream.now.bytes;  // Not again soon, should it fail.
  const Paths paths(region, root);
  if (!paths.fit) return false;
  sys::unlink(paths.target);  // Of one that died at it: the name is ours.
  const Files files(paths, O_CREAT | O_EXCL | O_APPEND);
  if (!files.good() || files.source.st_ino != stream.now.inode || files.source.st_dev != files.target.st_dev) {
    sys::unlink(paths.target);
    return false;
  }
  thinning.device = files.source.st_dev;
  thinning.source_inode = files.source.st_ino;
  thinning.target_inode = files.target.st_ino;
  thinning.thinner.begin({Files::read_at, Files::append, nullptr},
                         {stream.now.bytes, stream.now.bytes / 8 * 7, table, table_bytes});
  thinning.active = true;
  return true;
}

void continue_thinning(Region region, StreamThinning& thinning, const char* root, uint64_t most_bytes) noexcept {
  if (!thinning.active) return;
  const Paths paths(region, root);
  StreamThinner::Progress progress = StreamThinner::Progress::kFailed;
  {
    Files files(paths, O_APPEND);
    const bool same = paths.fit && files.good() && files.source.st_dev == thinning.device &&
                      files.source.st_ino == thinning.source_inode && files.target.st_ino == thinning.target_inode &&
                      static_cast<uint64_t>(files.target.st_size) == thinning.thinner.written_bytes();
    thinning.thinner.use_context(&files);
    if (same) progress = thinning.thinner.step(most_bytes);
  }
  if (progress == StreamThinner::Progress::kMore) return;
  if (progress == StreamThinner::Progress::kDone && put_in_place(region.header(), thinning, paths)) {
    region.header().stream.bytes_after_thinning = thinning.thinner.written_bytes();
    thinning.active = false;
    return;
  }
  abandon_thinning(region, thinning, root);
}

void abandon_thinning(Region region, StreamThinning& thinning, const char* root) noexcept {
  if (!thinning.active) return;
  thinning.active = false;
  const Paths paths(region, root);
  if (paths.fit) sys::unlink(paths.target);
}

}  // namespace seep
