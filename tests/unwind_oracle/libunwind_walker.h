// SPDX-License-Identifier: Apache-2.0
//
// The other walk: libunwind's plain stepping from given registers, without a cache. By its remote interface, with
// accessors of our own, since its local one opens pipes, validates addresses by writing to them, and takes the loader's
// lock. What libunwind is given is memory, registers and where a module's .eh_frame_hdr is; the search in it, the
// interpreter and the steps are its own.
//
// libunwind is opened with RTLD_LOCAL, so that its _Unwind_* never replace libgcc's. Runs inside the host, any thread,
// signal handlers (libunwind blocks signals around its pools). Not in a fork's child, where its locks may be taken.
#pragma once

#include <libunwind.h>

#include <cstdint>

#include "chain.h"
#include "processor/processor.h"

namespace seep {

// Reads any memory of the process that can be read: each page is asked for once in a walk, by a system call.
class ReadablePages {
 public:
  void forget() noexcept;
  [[nodiscard]] bool read(uintptr_t address, uint64_t& value) noexcept;

 private:
  static constexpr unsigned kPages = 512;
  [[nodiscard]] bool can_read(uintptr_t address) noexcept;

  uintptr_t known_[kPages];  // Direct-mapped; 0: none.
};

class LibunwindWalker {
 public:
  struct Result {
    uint32_t count;
    Cut cut;
    int error;             // What unw_step said at last: 0, or a negative unw_error_t.
    uint32_t first_guess;  // The first frame that was found without unwind tables of the one before; or `count`.
    bool ends_in_tables;   // There are some for the last frame.
  };

  // Once, where malloc may be called. False: there is no libunwind.
  [[nodiscard]] bool start() noexcept;
  // Also says which values the registers that a call preserves, and the stack pointer, have in frame `looked_at`.
  [[nodiscard]] Result walk(const Registers& registers, ReadablePages& pages, uintptr_t* pcs, uint32_t limit,
                            uint32_t looked_at, Registers& found) const noexcept;

 private:
  struct Functions {
    unw_addr_space_t (*create_addr_space)(unw_accessors_t*, int);
    int (*set_caching_policy)(unw_addr_space_t, unw_caching_policy_t);
    int (*init_remote)(unw_cursor_t*, unw_addr_space_t, void*);
    int (*step)(unw_cursor_t*);
    int (*get_reg)(unw_cursor_t*, int, unw_word_t*);
    int (*is_signal_frame)(unw_cursor_t*);
  };

  void read_registers(unw_cursor_t& cursor, Registers& found) const noexcept;

  Functions call_{};
  unw_addr_space_t address_space_ = nullptr;
};

}  // namespace seep
