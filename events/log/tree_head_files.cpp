#include "events/log/tree_head_files.hpp"

#include "events/fail_point.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace runledger {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t page = 1000;
constexpr std::string_view suffix = ".jsonl";
constexpr std::size_t day_length = 10; // YYYY-MM-DD

std::string complaint(const std::string& path) {
  return path + " cannot be written: " + std::strerror(errno);
}

std::string text_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// The last line that begins before `end`, without its line end; moves `end` to its beginning.
std::string_view line_before(std::string_view text, std::size_t& end) {
  auto last = text[end - 1] == '\n' ? end - 1 : end;
  auto begin = last == 0 ? std::string_view::npos : text.rfind('\n', last - 1);
  auto first = begin == std::string_view::npos ? 0 : begin + 1;
  end = first;
  return text.substr(first, last - first);
}

} // namespace

std::vector<std::string> tree_head_file_names(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (fs::directory_iterator at{folder, ignored}; at != fs::end(at); at.increment(ignored)) {
    auto name = at->path().filename().string();
    if (name.size() == day_length + suffix.size() && name.ends_with(suffix))
      out.push_back(std::move(name));
  }
  std::ranges::sort(out);
  return out;
}

/// Half a line at a file's end is what a crash or a full disk left; it is complete in the ledger.
result<void, std::string> tree_head_files::prepare() {
  ::mkdir(folder_.c_str(), 0755);
  for (const auto& name : tree_head_file_names(folder_)) {
    auto path = folder_ + '/' + name;
    auto text = text_of(path);
    if (text.empty() || text.back() == '\n')
      continue;
    auto whole = text.rfind('\n') + 1; // 0 without any.
    if (::truncate(path.c_str(), static_cast<off_t>(whole)) != 0)
      return complaint(path);
  }
  return {};
}

void tree_head_files::read_last() {
  auto names = tree_head_file_names(folder_);
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    auto text = text_of(folder_ + '/' + *name);
    for (auto end = text.size(); end > 0;) {
      auto head = head_from_line(line_before(text, end));
      if (head && head->ledger == ledger_ && head->partition == partition_) {
        last_ = head->seq;
        return;
      }
    }
  }
  last_ = 0;
  return;
}

result<void, std::string> tree_head_files::complete(const event_log& log) {
  if (!last_) {
    if (auto ready = prepare(); !ready)
      return ready;
    read_last();
  }
  auto from = *last_ + 1;
  for (;;) {
    auto records = log.read_stream(stream_id{partition_}, from, page);
    if (!records)
      return partition_ + " cannot be read: " + records.error().detail;
    for (const auto& r : *records)
      if (auto head = signed_head_of(r->event, ledger_))
        if (auto written = append(*head); !written)
          return written;
    if (records->size() < page)
      return {};
    from = records->back()->event.seq + 1;
  }
}

result<void, std::string> tree_head_files::append(const signed_tree_head& head) {
  if (last_ && head.seq <= *last_)
    return {};
  fail_point("before_tree_head_line");
  auto day = to_rfc3339(head.time).substr(0, day_length);
  auto written = write_line(folder_ + '/' + day + std::string{suffix}, to_line(head) + '\n');
  if (written)
    last_ = head.seq;
  return written;
}

/// The whole line or nothing of it.
result<void, std::string> tree_head_files::write_line(const std::string& path,
                                                      const std::string& line) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0)
    return complaint(path);
  auto before = ::lseek(fd, 0, SEEK_END);
  auto written = ::write(fd, line.data(), line.size());
  result<void, std::string> out;
  if (written != static_cast<ssize_t>(line.size())) {
    out = complaint(path);
    if (before >= 0)
      (void)!::ftruncate(fd, before);
  }
  ::close(fd);
  return out;
}

} // namespace runledger
