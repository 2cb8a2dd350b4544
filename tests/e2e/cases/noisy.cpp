// SPDX-License-Identifier: Apache-2.0
//
// A program that is hard to judge and has no leak: four threads that fill caches, containers and strings, throw and
// catch, hand blocks to each other by futures and lists, keep some in thread-local, static and global places, and a
// detached one that still runs when main returns. Expected: nothing is lost.
//
// With the argument "leak" each of the four also loses lose()'s 3 blocks of 40 bytes, amid the noise: 12 in all.
#include <atomic>
#include <cstring>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 150;

std::mutex mutex;
std::unordered_map<int, std::unique_ptr<std::string>> cache;
std::list<std::shared_ptr<std::vector<int>>> handed_over;
thread_local std::map<int, std::string> notes;
std::vector<char*>* const never_freed = new std::vector<char*>;

__attribute__((noinline)) void lose() {
  static std::atomic<void*> last;
  for (int block = 0; block < 3; ++block) last = std::memset(std::malloc(40), 0, 40);
  last = nullptr;
}

std::string phrase(std::mt19937& random) {
  std::ostringstream text;
  for (auto word = random() % 5 + 1; word > 0; --word) text << std::string(random() % 40, 'a') << ' ';
  return text.str();
}

void use_cache(std::mt19937& random) {
  const std::lock_guard<std::mutex> lock(mutex);
  auto& entry = cache[static_cast<int>(random() % 64)];
  entry = std::make_unique<std::string>(phrase(random));
  if (random() % 8 == 0) cache.erase(static_cast<int>(random() % 64));
  if (random() % 16 == 0) never_freed->push_back(new char[random() % 100 + 1]());
}

void hand_over(std::mt19937& random) {
  const std::lock_guard<std::mutex> lock(mutex);
  handed_over.push_back(std::make_shared<std::vector<int>>(random() % 50));
  if (handed_over.size() > 20) handed_over.pop_front();
}

void throw_and_catch(std::mt19937& random) {
  try {
    const std::string held = phrase(random);
    throw std::runtime_error(held + held);
  } catch (const std::exception& error) {
    notes[static_cast<int>(random() % 10)] = error.what();
  }
}

void search(std::mt19937& random) {
  static const std::regex pattern("(a+) ");
  const std::string text = phrase(random);
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), end; match != end; ++match) (void)match->str();
}

void make_noise(unsigned seed, bool leak) {
  std::mt19937 random(seed);
  for (int round = 0; round < kRounds; ++round) {
    use_cache(random);
    hand_over(random);
    throw_and_catch(random);
    if (round % 10 == 0) search(random);
    if (leak && round == kRounds / 2) lose();
  }
}

// The caller's stack where blocks were is written over, as other calls would do it.
__attribute__((noinline)) void forget() {
  volatile char stack[4096];
  for (char volatile& byte : stack) byte = 0;
}

}  // namespace

int main(int argc, char** argv) {
  const bool leak = argc > 1 && std::strcmp(argv[1], "leak") == 0;
  std::thread([] {
    std::vector<std::string> held(10, std::string(100, 'x'));
    std::this_thread::sleep_for(std::chrono::hours(1));
  }).detach();
  std::vector<std::future<void>> threads;
  for (unsigned seed = 1; seed <= kThreads; ++seed) {
    threads.push_back(std::async(std::launch::async, make_noise, seed, leak));
  }
  for (std::future<void>& thread : threads) thread.get();
  forget();
  return 0;
}
