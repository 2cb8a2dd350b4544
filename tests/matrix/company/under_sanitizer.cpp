// SPDX-License-Identifier: Apache-2.0
//
// Compiled by the test with each compiler's sanitizers, their runtimes shared and static. It allocates in two threads
// and, if its argument says so, does what the sanitizers look for: `leak`, `overflow`, `race`, `shift`.
//
// Expected: what the sanitizer says and does is what it says and does in the company of any other preload.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

int shared_word;
void* volatile escaped;

void work() {
  std::vector<std::unique_ptr<std::string>> strings;
  for (int i = 0; i < 1000; ++i) strings.push_back(std::make_unique<std::string>(static_cast<size_t>(i), 'x'));
}

// The other thread has written when this one does, and nothing but time has told it so.
void race() {
  std::atomic<bool> written{false};
  std::thread thread([&written] {
    ++shared_word;
    written.store(true, std::memory_order_relaxed);
  });
  while (!written.load(std::memory_order_relaxed)) std::this_thread::yield();
  ++shared_word;
  thread.join();
}

}  // namespace

int main(int count, char** arguments) {
  const char* what = count > 1 ? arguments[1] : "";
  std::thread thread(work);
  work();
  thread.join();
  if (strcmp(what, "leak") == 0) escaped = malloc(123), escaped = nullptr;
  if (strcmp(what, "overflow") == 0) {
    escaped = malloc(10);
    static_cast<volatile char*>(escaped)[count + 9] = 1;
  }
  if (strcmp(what, "race") == 0) race();
  if (strcmp(what, "shift") == 0) shared_word = 1 << (count + 40);
  puts("ends well");
  return 0;
}
