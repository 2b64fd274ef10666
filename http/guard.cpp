#include "http/guard.hpp"

#include "http/trimmed.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace runledger::http {
namespace {

using maybe = std::optional<refusal>;

constexpr refusal bad(std::string_view detail) {
  return {fault::bad_request, detail};
}

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (char c = 'a'; c <= 'z'; ++c)
    table[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c)
    table[static_cast<unsigned char>(c)] = true;
  for (char c = '0'; c <= '9'; ++c)
    table[static_cast<unsigned char>(c)] = true;
  for (char c : std::string_view{"!#$%&'*+-.^_`|~"})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto token_table = make_token_table();

bool is_token_char(char c) {
  return token_table[static_cast<unsigned char>(c)];
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/// The next line without its CRLF; `text` moves behind it. The scan made sure that each LF follows
/// a CR.
std::string_view take_line(std::string_view& text) {
  const auto* lf = static_cast<const char*>(std::memchr(text.data(), '\n', text.size()));
  const auto length = static_cast<std::size_t>(lf - text.data());
  auto line = text.substr(0, length - 1);
  text.remove_prefix(length + 1);
  return line;
}

/// Host or authority: a name or IPv4 address, or an IPv6 address in brackets, and maybe a port.
bool is_host(std::string_view text) {
  std::size_t i = 0;
  if (!text.empty() && text[0] == '[') {
    for (i = 1; i < text.size() && (is_alnum(text[i]) || text[i] == ':' || text[i] == '.');)
      ++i;
    if (i < 3 || i == text.size() || text[i] != ']')
      return false;
    ++i;
  } else {
    while (i < text.size()
           && (is_alnum(text[i]) || text[i] == '-' || text[i] == '.' || text[i] == '_'))
      ++i;
    if (i == 0)
      return false;
  }
  if (i == text.size())
    return true;
  auto port = text.substr(i);
  if (port[0] != ':' || port.size() > 6)
    return false;
  for (char c : port.substr(1))
    if (!is_digit(c))
      return false;
  return true;
}

maybe read_method(std::string_view name, head& out) {
  for (unsigned v = 0; v < verb_count; ++v)
    if (name == name_of(static_cast<verb>(v))) {
      out.method = static_cast<verb>(v);
      return {};
    }
  if (name.empty())
    return bad("The request line has no method.");
  for (char c : name) {
    if (!is_token_char(c))
      return bad("The method is not a token.");
    if (c >= 'a' && c <= 'z')
      return bad("Methods are written in upper case.");
  }
  return refusal{fault::not_implemented, "The server does not know this method."};
}

/// Splits the target into path and query; `authority` is set for the absolute form.
maybe read_target(std::string_view target, head& out, std::string_view& authority) {
  if (target.empty())
    return bad("The request line has no target.");
  for (char c : target) {
    if (c == '#')
      return bad("The target has a fragment.");
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f)
      return bad("The target has a character that must be escaped.");
  }
  if (target[0] != '/') {
    if (target == "*" && out.method == verb::options) {
      out.path = target;
      return {};
    }
    std::size_t start = 0;
    if (same_text(target.substr(0, 7), "http://"))
      start = 7;
    else if (same_text(target.substr(0, 8), "https://"))
      start = 8;
    else
      return bad("The target is neither a path nor an http URL.");
    const std::size_t end = std::min(target.find_first_of("/?", start), target.size());
    authority = target.substr(start, end - start);
    if (!is_host(authority))
      return bad("The target's authority is malformed.");
    target.remove_prefix(end);
  }
  const std::size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  if (mark != target.npos)
    out.query = target.substr(mark + 1);
  if (out.path.empty())
    out.path = "/";
  return {};
}

maybe read_request_line(std::string_view line, head& out, std::string_view& authority) {
  const std::size_t first = line.find(' ');
  const std::size_t second = first == line.npos ? line.npos : line.find(' ', first + 1);
  if (second == line.npos)
    return bad("The request line is malformed.");
  if (auto why = read_method(line.substr(0, first), out))
    return why;
  const auto version = line.substr(second + 1);
  if (version == "HTTP/1.1")
    out.http_1_0 = false;
  else if (version == "HTTP/1.0")
    out.http_1_0 = true;
  else if (version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5])
           && version[6] == '.' && is_digit(version[7]))
    return refusal{fault::version_not_supported, "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
  else
    return bad("The request line is malformed.");
  return read_target(line.substr(first + 1, second - first - 1), out, authority);
}

/// What the fields that decide on framing said so far.
struct framing {
  bool close = false;
  bool keep_alive = false;
  bool transfer_encoding = false;
  bool other_encoding = false;
};

maybe read_content_length(std::string_view value, head& out) {
  if (out.content_length)
    return bad("Content-Length stands twice.");
  if (value.empty() || value.size() > 18)
    return bad("Content-Length is malformed.");
  std::uint64_t length = 0;
  for (char c : value) {
    if (!is_digit(c))
      return bad("Content-Length is malformed.");
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (value[0] == '0' && value.size() > 1)
    return bad("Content-Length has leading zeros.");
  out.content_length = length;
  return {};
}

maybe read_connection(std::string_view value, framing& seen) {
  while (!value.empty()) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const auto option = trimmed(value.substr(0, comma));
    if (same_text(option, "close"))
      seen.close = true;
    else if (same_text(option, "keep-alive"))
      seen.keep_alive = true;
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
  return {};
}

maybe read_expect(std::string_view value, head& out) {
  if (!same_text(value, "100-continue"))
    return refusal{fault::expectation_failed, "Only 100-continue can be expected."};
  out.expects_continue = true;
  return {};
}

maybe once(std::string_view value, std::string_view& slot, std::string_view complaint) {
  if (slot.data() != nullptr)
    return bad(complaint);
  slot = value;
  return {};
}

/// Looks at a field that the edge itself needs. Told apart by length first: most fields cost one
/// switch.
maybe read_known(const header_field& field, head& out, framing& seen) {
  auto is = [&](std::string_view name) { return same_text(field.name, name); };
  switch (field.name.size()) {
    case 4:
      return is("host") ? once(field.value, out.host, "Host stands twice.") : maybe{};
    case 5:
      if (is("range"))
        out.range = field.value;
      return {};
    case 6:
      return is("expect") ? read_expect(field.value, out) : maybe{};
    case 8:
      if (is("if-range"))
        out.if_range = field.value;
      return {};
    case 9:
      return is("x-api-key") ? once(field.value, out.api_key, "X-API-Key stands twice.") : maybe{};
    case 10:
      return is("connection") ? read_connection(field.value, seen) : maybe{};
    case 12:
      return is("content-type") ? once(field.value, out.content_type, "Content-Type stands twice.")
                                : maybe{};
    case 13:
      if (is("if-none-match"))
        out.if_none_match = field.value;
      return is("authorization")
                 ? once(field.value, out.authorization, "Authorization stands twice.")
                 : maybe{};
    case 14:
      return is("content-length") ? read_content_length(field.value, out) : maybe{};
    case 15:
      if (is("idempotency-key"))
        for (std::size_t i = 0; i + 1 < out.fields.size(); ++i)
          if (same_text(out.fields[i].name, "idempotency-key"))
            return bad("Idempotency-Key stands twice.");
      return {};
    case 16:
      return is("content-encoding")
                 ? once(field.value, out.content_encoding, "Content-Encoding stands twice.")
                 : maybe{};
    case 17:
      if (is("transfer-encoding")) {
        seen.other_encoding =
            seen.other_encoding || seen.transfer_encoding || field.value != "chunked";
        seen.transfer_encoding = true;
      }
      return {};
    default:
      return {};
  }
}

maybe read_field(std::string_view line, head& out, framing& seen) {
  if (is_blank(line[0]))
    return bad("A header field is folded over lines.");
  std::size_t colon = 0;
  while (colon < line.size() && is_token_char(line[colon]))
    ++colon;
  if (colon == 0 || colon == line.size() || line[colon] != ':')
    return bad("A header field's name is malformed.");
  for (std::size_t i = colon + 1; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    if ((c < 0x20 && c != '\t') || c == 0x7f)
      return bad("A header field's value has a control character.");
  }
  out.fields.push_back({line.substr(0, colon), trimmed(line.substr(colon + 1))});
  return read_known(out.fields.back(), out, seen);
}

/// The rules that need the whole head.
maybe conclude(head& out, const framing& seen, std::string_view authority) {
  if (out.host.data() == nullptr) {
    if (!out.http_1_0 || authority.data() != nullptr)
      return bad("Host is missing.");
  } else if (!is_host(out.host)) {
    return bad("Host is malformed.");
  }
  if (authority.data() != nullptr && !same_text(authority, out.host))
    return bad("The target's authority differs from Host.");
  if (seen.transfer_encoding) {
    if (out.http_1_0)
      return bad("HTTP/1.0 has no Transfer-Encoding.");
    if (out.content_length)
      return bad("Transfer-Encoding and Content-Length exclude each other.");
    if (seen.other_encoding)
      return refusal{fault::not_implemented, "The only Transfer-Encoding is chunked."};
    out.chunked = true;
  }
  out.keep_alive = !seen.close && (!out.http_1_0 || seen.keep_alive);
  if (out.http_1_0)
    out.expects_continue = false;
  return {};
}

void reset(head& out) {
  auto fields = std::move(out.fields);
  fields.clear();
  out = head{};
  out.fields = std::move(fields);
}

} // namespace

head_scan::outcome head_scan::look(std::string_view bytes) {
  if (seen_ == 0 && !bytes.empty() && !is_token_char(bytes[0]))
    return outcome::malformed;
  while (seen_ < bytes.size()) {
    const auto* lf =
        static_cast<const char*>(std::memchr(bytes.data() + seen_, '\n', bytes.size() - seen_));
    if (lf == nullptr) {
      seen_ = bytes.size();
      return outcome::incomplete;
    }
    const auto at = static_cast<std::size_t>(lf - bytes.data());
    if (at == line_ || bytes[at - 1] != '\r')
      return outcome::malformed;
    seen_ = at + 1;
    if (at == line_ + 1)
      return outcome::complete;
    line_ = seen_;
  }
  return outcome::incomplete;
}

std::optional<refusal> read_head(std::string_view text, unsigned max_fields, head& out) {
  reset(out);
  framing seen;
  std::string_view authority;
  if (auto why = read_request_line(take_line(text), out, authority))
    return why;
  for (;;) {
    const auto line = take_line(text);
    if (line.empty())
      break;
    if (out.fields.size() == max_fields)
      return refusal{fault::headers_too_large, "The request has too many header fields."};
    if (auto why = read_field(line, out, seen))
      return why;
  }
  return conclude(out, seen, authority);
}

} // namespace runledger::http
