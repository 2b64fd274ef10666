#include "events/log/file_blob_store.hpp"

#include "events/errno_text.hpp"
#include "events/ids.hpp"
#include "events/log/sync_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <vector>

namespace runledger {

namespace {

constexpr std::size_t copy_bytes = 256 * 1024;

/// A file descriptor that closes itself.
class open_file {
public:
  open_file(const std::string& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~open_file() {
    if (fd_ >= 0)
      ::close(fd_);
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_;
};

/// Removes the file at the end, unless it was renamed before.
class removed_at_end {
public:
  explicit removed_at_end(const std::string& path) : path_(path) {}
  ~removed_at_end() { ::unlink(path_.c_str()); }
  removed_at_end(const removed_at_end&) = delete;
  removed_at_end& operator=(const removed_at_end&) = delete;

private:
  const std::string& path_;
};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    auto n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// As ::read, but goes on after a signal.
ssize_t read_some(int fd, char* out, std::size_t size) {
  ssize_t n;
  do
    n = ::read(fd, out, size);
  while (n < 0 && errno == EINTR);
  return n;
}

/// True if the folder is there now.
bool make_folder(const std::string& path) {
  return ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

/// What puts left that were cut off by a crash. A young one may be another node's.
void remove_leftovers(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto old = fs::file_time_type::clock::now() - std::chrono::hours{24};
  for (const auto& entry : fs::directory_iterator{folder, ignored})
    if (fs::last_write_time(entry, ignored) < old)
      fs::remove(entry, ignored);
}

} // namespace

result<std::unique_ptr<file_blob_store>, std::string> file_blob_store::open(std::string folder,
                                                                            access wanted) {
  std::unique_ptr<file_blob_store> store{new file_blob_store{std::move(folder), wanted}};
  if (wanted == access::read_only)
    return store;
  const auto& root = store->folder_;
  bool made = make_folder(root) && make_folder(root + "/tmp");
  constexpr char hex[] = "0123456789abcdef";
  for (unsigned i = 0; made && i < 256; ++i)
    made = make_folder(root + '/' + hex[i >> 4] + hex[i & 15]);
  auto parent = std::filesystem::absolute(root).parent_path().string();
  if (!made || !sync_folder(root) || !sync_folder(parent))
    return "the blob folder " + root + " cannot be used: " + errno_text(errno);
  remove_leftovers(root + "/tmp");
  return store;
}

std::string file_blob_store::folder_of(const digest& id) const {
  return folder_ + '/' + to_hex(id).substr(0, 2);
}

std::string file_blob_store::name_of(const digest& id) const {
  return folder_of(id) + '/' + to_hex(id).substr(2);
}

/// Unique among the nodes that share the folder.
std::string file_blob_store::temporary_name() {
  static const std::string process = std::to_string(system_id_source{}.random());
  return folder_ + "/tmp/" + process + '-' + std::to_string(counter_.fetch_add(1));
}

bool file_blob_store::is_there(const blob_ref& blob) const {
  struct stat info;
  return ::stat(name_of(blob.id).c_str(), &info) == 0
         && static_cast<std::uint64_t>(info.st_size) == blob.size
         && sync_folder(folder_of(blob.id)); // Another put may have renamed it just now.
}

result<blob_ref, blob_errc> file_blob_store::settle(const std::string& temporary,
                                                    const blob_ref& blob) {
  auto name = name_of(blob.id);
  if (::rename(temporary.c_str(), name.c_str()) != 0)
    return blob_errc::unavailable;
  if (!sync_folder(folder_of(blob.id))) {
    ::unlink(name.c_str()); // So that the next put does not take it for durable.
    return blob_errc::unavailable;
  }
  return blob;
}

result<blob_ref, blob_errc> file_blob_store::put(std::string_view content) {
  if (access_ == access::read_only)
    return blob_errc::unavailable;
  blob_ref blob{sha256(content), content.size()};
  if (is_there(blob))
    return blob;
  auto temporary = temporary_name();
  open_file out{temporary, O_WRONLY | O_CREAT | O_EXCL, 0600};
  if (!out)
    return blob_errc::unavailable;
  removed_at_end cleanup{temporary};
  if (!write_all(out.fd(), content) || ::fsync(out.fd()) != 0)
    return blob_errc::unavailable;
  return settle(temporary, blob);
}

result<blob_ref, blob_errc> file_blob_store::put_file(int fd, std::uint64_t max_size) {
  if (access_ == access::read_only)
    return blob_errc::unavailable;
  auto temporary = temporary_name();
  open_file out{temporary, O_WRONLY | O_CREAT | O_EXCL, 0600};
  if (!out)
    return blob_errc::unavailable;
  removed_at_end cleanup{temporary};
  std::vector<char> buffer(copy_bytes);
  sha256_hasher hasher;
  blob_ref blob;
  while (true) {
    auto n = read_some(fd, buffer.data(), buffer.size());
    if (n < 0)
      return blob_errc::unavailable;
    if (n == 0)
      break;
    std::string_view piece{buffer.data(), static_cast<std::size_t>(n)};
    blob.size += piece.size();
    if (blob.size > max_size)
      return blob_errc::damaged;
    hasher.update(piece);
    if (!write_all(out.fd(), piece))
      return blob_errc::unavailable;
  }
  blob.id = hasher.finish();
  if (is_there(blob))
    return blob;
  if (::fsync(out.fd()) != 0)
    return blob_errc::unavailable;
  return settle(temporary, blob);
}

result<std::string, blob_errc> file_blob_store::get(const digest& id) const {
  open_file in{name_of(id), O_RDONLY};
  if (!in)
    return errno == ENOENT ? blob_errc::missing : blob_errc::unavailable;
  struct stat info;
  if (::fstat(in.fd(), &info) != 0)
    return blob_errc::unavailable;
  std::string content(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t filled = 0;
  while (filled < content.size()) {
    auto n = read_some(in.fd(), content.data() + filled, content.size() - filled);
    if (n < 0)
      return blob_errc::unavailable;
    if (n == 0)
      break;
    filled += static_cast<std::size_t>(n);
  }
  if (filled != content.size() || sha256(content) != id)
    return blob_errc::damaged;
  return content;
}

std::optional<std::string> file_blob_store::path_of(const digest& id) const {
  auto name = name_of(id);
  if (::access(name.c_str(), R_OK) != 0)
    return std::nullopt;
  return name;
}

} // namespace runledger
