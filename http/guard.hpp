#pragma once

#include "http/problem.hpp"
#include "http/request.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The framing rules. One strict scanner decides what a request is; nothing behind it reads a head
/// again, so no two parsers can disagree on where a message ends.
namespace runledger::http {

/// Looks for the end of a head in bytes that arrive piece by piece.
class head_scan {
public:
  enum class outcome : std::uint8_t { incomplete, complete, malformed };
  /// `bytes` is all that arrived of this head. Looks at each byte once over all calls. Malformed: a
  /// line ends without CR, or the first byte cannot begin a request line.
  outcome look(std::string_view bytes);
  /// After complete: the length of the head with its empty line.
  std::size_t end() const { return seen_; }

private:
  std::size_t seen_ = 0;
  std::size_t line_ = 0;
};

/// A head that passed every rule. The texts point into the bytes that were read.
struct head {
  verb method = verb::get;
  bool http_1_0 = false;
  bool keep_alive = true;
  bool expects_continue = false;
  bool chunked = false;
  std::optional<std::uint64_t> content_length;
  std::string_view path;  // Origin form; of an absolute target what stands behind the authority.
  std::string_view query; // Without the question mark.
  std::vector<header_field> fields;
  // Fields of interest; data() is null where absent.
  std::string_view host, authorization, api_key, content_type, content_encoding;
  std::string_view range, if_range, if_none_match;
};

/// Why a head is refused. The text is a literal.
struct refusal {
  fault why;
  std::string_view detail;
};

/// Reads `text`, one whole head with its empty line, into `out` (whose storage is reused). Nothing:
/// it is clean. After a refusal the connection cannot be used any more.
std::optional<refusal> read_head(std::string_view text, unsigned max_fields, head& out);

/// Decodes a chunked body. Trailers are dropped.
class chunk_reader {
public:
  /// More than `limit` decoded bytes is too large.
  explicit chunk_reader(std::uint64_t limit);
  ~chunk_reader();
  chunk_reader(const chunk_reader&) = delete;
  chunk_reader& operator=(const chunk_reader&) = delete;

  enum class outcome : std::uint8_t { need_more, complete, malformed, too_large };
  /// Appends what `bytes` hold to `body`. `used` is set to how many are done with; the rest must
  /// come again, with more behind.
  outcome feed(std::string_view bytes, std::string& body, std::size_t& used);

private:
  struct content;
  std::unique_ptr<content> content_;
};

} // namespace runledger::http
