// SPDX-License-Identifier: Apache-2.0
//
// What destructors of static and thread-local objects free at the end is not leaked; what a static object holds that is
// never destroyed is reachable; what one holds that is destroyed without freeing it is still reachable, since its bytes
// are; what its destructor overwrites is lost.
//
// Expected: as said.
#include <memory>

#include "told.h"

namespace {

SITE char* freed() { return static_cast<char*>(escape(new char[24])); }
SITE char* freed_by_thread_local() { return static_cast<char*>(escape(new char[40])); }
SITE char* never_destroyed() { return static_cast<char*>(escape(new char[56])); }
SITE char* not_freed() { return static_cast<char*>(escape(new char[72])); }
SITE char* overwritten() { return static_cast<char*>(escape(new char[88])); }

struct Holder {
  explicit Holder(char* text) : text_(text) {}
  char* text_;
};
struct Forgetful : Holder {
  using Holder::Holder;
  ~Forgetful() { escape(this); }
};
struct Overwriting : Holder {
  using Holder::Holder;
  ~Overwriting() {
    text_ = nullptr;
    escape(this);
    forget();
  }
};

std::unique_ptr<char[]> first(freed());
thread_local std::unique_ptr<char[]> second(freed_by_thread_local());
Forgetful forgetful(not_freed());
Overwriting overwriting(overwritten());

}  // namespace

int main() {
  escape(second.get());
  static Holder& holder = *new (escape(operator new(sizeof(Holder)))) Holder(never_destroyed());
  escape(&holder);
  tell("main", "reachable", 1, sizeof(Holder));
  tell("never_destroyed", "reachable", 1, 56);
  tell("not_freed", "reachable", 1, 72);
  tell("overwritten", "definite", 1, 88);
  last_words();
  return 0;
}
