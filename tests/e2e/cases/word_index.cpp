// SPDX-License-Identifier: Apache-2.0
//
// The example of the quickstart: an index of words that leaks in two places. Expected: the pages of each line that is
// refused (load_page), and the index entries that a rename forgets (WordIndex::rename); all else is freed.

#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace {

struct Page {
  char text[4000];
  size_t size_bytes;
};

Page* load_page(const std::string& line) {
  Page* page = new Page;
  page->size_bytes = line.size();
  memcpy(page->text, line.data(), line.size());
  if (line.find('?') != std::string::npos) return nullptr;  // The page is forgotten here.
  return page;
}

struct Entry {
  std::string word;
  std::vector<int> lines;
};

class WordIndex {
 public:
  ~WordIndex() {
    for (auto& [word, entry] : entries_) delete entry;
  }

  void add(const std::string& word, int line) {
    Entry*& entry = entries_[word];
    if (entry == nullptr) entry = new Entry{word, {}};
    entry->lines.push_back(line);
  }

  void rename(const std::string& from, const std::string& to) {
    entries_[to] = new Entry{to, entries_[from]->lines};  // An entry that `to` already had is forgotten here.
  }

  size_t size() const { return entries_.size(); }

 private:
  std::map<std::string, Entry*> entries_;
};

void index_line(WordIndex& index, const std::string& line, int number) {
  size_t begin = 0;
  while (begin < line.size()) {
    size_t end = line.find(' ', begin);
    if (end == std::string::npos) end = line.size();
    index.add(line.substr(begin, end - begin), number);
    begin = end + 1;
  }
}

}  // namespace

int main() {
  WordIndex index;
  for (int number = 0; number < 2000; ++number) {
    std::string line = "entry " + std::to_string(number % 300) + " of the index, written again and again";
    if (number % 20 == 0) line += " or is it?";
    Page* page = load_page(line);
    if (page != nullptr) index_line(index, line, number);
    delete page;
  }
  for (int number = 1; number < 200; ++number) index.rename("entry", std::to_string(number));
  printf("%zu words\n", index.size());
  return 0;
}
