#pragma once

#include <string>
#include <string_view>

namespace runledger::cli {

/// A file that is there whole or not at all: it is written beside its place, with mode 0600, and
/// gets its name by commit(). Until then the destructor takes it away, and so do SIGINT, SIGTERM
/// and SIGHUP through remove_now(). One at a time; one thread.
class output_file {
public:
  /// Ends the command (exit 2) where nothing can be written, and where the file is there already,
  /// unless `replace`.
  output_file(std::string path, bool replace);
  ~output_file();
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  /// False: it cannot be written; commit() will say why.
  bool write(std::string_view bytes);
  /// Flushes it to the disk and gives it its name; ends the command (exit 2) if that fails or what
  /// was written before could not be.
  void commit();
  /// Whether everything could be written so far.
  bool wrote() const { return error_ == 0; }
  /// Why not, as one sentence.
  std::string complaint() const;

  const std::string& path() const { return path_; }
  /// Where temporary files may lie: there is room for the output, too.
  std::string folder() const;

  /// Takes away what has no name yet. For signal handlers.
  static void remove_now() noexcept;

private:
  bool flush();

  std::string path_, unfinished_;
  bool replace_;
  int fd_ = -1;
  int error_ = 0; ///< errno of the first failure.
  std::string waiting_;
};

} // namespace runledger::cli
