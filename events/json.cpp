#include "events/json.hpp"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <unordered_set>

namespace runledger::json {

namespace detail {

/// One value. Its children follow it in `content::nodes`; `next` is one past its subtree.
struct node {
  json::kind kind = json::kind::null;
  std::uint32_t begin = 0, end = 0; // Its raw text.
  std::uint32_t next = 0;
  std::uint32_t children = 0;
  std::string_view text; // Strings: unescaped.
  std::string_view name; // Members: unescaped.
};

struct content {
  explicit content(std::string_view source) : text(source) {}
  simdjson::padded_string text;
  std::vector<node> nodes;
  std::deque<std::string> unescaped; // Strings that are not written as they read.
};

} // namespace detail

namespace {

using detail::content;
using detail::node;
using sax_error = simdjson::error_code;
namespace ondemand = simdjson::ondemand;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trim_right(std::string_view s) {
  while (!s.empty() && is_space(s.back()))
    s.remove_suffix(1);
  return s;
}

/// The number grammar of RFC 8259, section 6.
bool is_number(std::string_view s) {
  std::size_t i = 0;
  auto digits = [&] {
    auto first = i;
    while (i < s.size() && s[i] >= '0' && s[i] <= '9')
      ++i;
    return i - first;
  };
  if (i < s.size() && s[i] == '-')
    ++i;
  bool zero = i < s.size() && s[i] == '0';
  auto whole = digits();
  if (whole == 0 || (zero && whole > 1))
    return false;
  if (i < s.size() && s[i] == '.') {
    ++i;
    if (digits() == 0)
      return false;
  }
  if (i < s.size() && (s[i] == 'e' || s[i] == 'E')) {
    ++i;
    if (i < s.size() && (s[i] == '+' || s[i] == '-'))
      ++i;
    if (digits() == 0)
      return false;
  }
  return i == s.size();
}

/// Only long numbers and those with an exponent can leave a double's range.
bool in_double_range(std::string_view number) {
  if (number.size() < 300 && number.find_first_of("eE") == std::string_view::npos)
    return true;
  return std::isfinite(std::strtod(std::string{number}.c_str(), nullptr));
}

/// Walks a text once and builds the tree. Throws json::error to leave the recursion; parse()
/// catches it.
class walker {
public:
  explicit walker(content& c) : content_(c), text_(c.text) {}

  void run() {
    thread_local ondemand::parser parser;
    ondemand::document doc;
    check(parser.iterate(content_.text).get(doc));
    ondemand::json_type type{};
    check(doc.type().get(type));
    if (type == ondemand::json_type::object || type == ondemand::json_type::array) {
      ondemand::value root;
      check(doc.get_value().get(root));
      walk(root, {}, 1);
      refuse_trailing(content_.nodes[0].end);
    } else {
      scalar_root(doc, type);
    }
  }

private:
  [[noreturn]] void fail(errc code, std::size_t offset, std::string message) {
    throw error{code, offset, std::move(message)};
  }

  void check(sax_error e) {
    if (e == simdjson::SUCCESS)
      return;
    if (e == simdjson::UTF8_ERROR)
      fail(errc::bad_utf8, 0, "The text is not valid UTF-8.");
    if (e == simdjson::DEPTH_ERROR)
      fail(errc::too_deep, last_, "The value is nested deeper than 256 levels.");
    fail(errc::malformed, last_, "The text is not valid JSON.");
  }

  std::size_t place(std::string_view token) const {
    return static_cast<std::size_t>(token.data() - text_.data());
  }

  /// A view into the text where the string is written as it reads, else into a copy.
  std::string_view keep(std::string_view unescaped, const char* raw) {
    if (std::string_view{raw, unescaped.size()} == unescaped && raw[unescaped.size()] == '"')
      return {raw, unescaped.size()};
    return content_.unescaped.emplace_back(unescaped);
  }

  void walk(ondemand::value v, std::string_view name, unsigned depth) {
    if (depth > max_depth)
      fail(errc::too_deep, last_, "The value is nested deeper than 256 levels.");
    auto index = content_.nodes.size();
    content_.nodes.emplace_back();
    auto token = v.raw_json_token();
    last_ = place(token);
    node n;
    n.name = name;
    n.begin = static_cast<std::uint32_t>(last_);
    ondemand::json_type type{};
    check(v.type().get(type));
    switch (type) {
      case ondemand::json_type::object:
        n.kind = kind::object;
        n.children = members(v, index, depth);
        n.end = close(index, n, '}');
        break;
      case ondemand::json_type::array:
        n.kind = kind::array;
        n.children = elements(v, depth);
        n.end = close(index, n, ']');
        break;
      case ondemand::json_type::string: {
        std::string_view unescaped;
        check(v.get_string().get(unescaped));
        n.kind = kind::string;
        n.text = keep(unescaped, token.data() + 1);
        n.end = n.begin + static_cast<std::uint32_t>(trim_right(token).size());
        break;
      }
      default:
        literal_or_number(n, trim_right(token));
        check(type == ondemand::json_type::number ? simdjson::SUCCESS : skip(v, type));
    }
    n.next = static_cast<std::uint32_t>(content_.nodes.size());
    content_.nodes[index] = n;
    if (type == ondemand::json_type::number)
      consume_number(v);
  }

  static sax_error skip(ondemand::value& v, ondemand::json_type type) {
    if (type == ondemand::json_type::boolean) {
      bool ignored = false;
      return v.get_bool().get(ignored);
    }
    return v.is_null() ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
  }

  /// Moves past a number of any length; its text is checked already.
  static void consume_number(ondemand::value& v) {
    double ignored = 0;
    [[maybe_unused]] auto error = v.get_double().get(ignored);
  }

  void literal_or_number(node& n, std::string_view token) {
    n.end = n.begin + static_cast<std::uint32_t>(token.size());
    if (token == "null") {
      n.kind = kind::null;
    } else if (token == "true" || token == "false") {
      n.kind = kind::boolean;
    } else if (is_number(token)) {
      if (!in_double_range(token))
        fail(errc::number_out_of_range, n.begin, "A number is beyond the range of a double.");
      n.kind = kind::number;
    } else {
      fail(errc::malformed, n.begin, "The text is not valid JSON.");
    }
  }

  std::uint32_t members(ondemand::value& v, std::size_t parent, unsigned depth) {
    ondemand::object object;
    check(v.get_object().get(object));
    std::uint32_t count = 0;
    for (auto item : object) {
      ondemand::field field;
      check(std::move(item).get(field));
      const char* raw = field.key().raw();
      last_ = static_cast<std::size_t>(raw - text_.data()) - 1;
      std::string_view unescaped;
      check(field.unescaped_key().get(unescaped));
      auto name = keep(unescaped, raw);
      walk(field.value(), name, depth + 1);
      ++count;
    }
    refuse_duplicates(parent, count);
    return count;
  }

  std::uint32_t elements(ondemand::value& v, unsigned depth) {
    ondemand::array array;
    check(v.get_array().get(array));
    std::uint32_t count = 0;
    for (auto item : array) {
      ondemand::value element;
      check(std::move(item).get(element));
      walk(element, {}, depth + 1);
      ++count;
    }
    return count;
  }

  void refuse_duplicates(std::size_t parent, std::uint32_t count) {
    std::unordered_set<std::string_view> seen; // Allocates nothing while it is empty.
    const auto& nodes = content_.nodes;
    auto index = static_cast<std::uint32_t>(parent) + 1;
    for (std::uint32_t i = 0; i < count; ++i, index = nodes[index].next) {
      bool twice = count > 8 ? !seen.insert(nodes[index].name).second
                             : stands_before(parent, index, nodes[index].name);
      if (twice)
        fail(errc::duplicate_member, nodes[index].begin,
             "The member \"" + std::string{nodes[index].name} + "\" stands twice in one object.");
    }
  }

  bool stands_before(std::size_t parent, std::uint32_t last, std::string_view name) const {
    for (auto i = static_cast<std::uint32_t>(parent) + 1; i < last; i = content_.nodes[i].next)
      if (content_.nodes[i].name == name)
        return true;
    return false;
  }

  /// The end of a container: its closing bracket stands after its last child.
  std::uint32_t close(std::size_t index, const node& n, char bracket) {
    std::size_t at = n.begin + 1;
    if (n.children > 0) {
      auto child = static_cast<std::uint32_t>(index) + 1;
      for (std::uint32_t i = 1; i < n.children; ++i)
        child = content_.nodes[child].next;
      at = content_.nodes[child].end;
    }
    while (at < text_.size() && is_space(text_[at]))
      ++at;
    if (at >= text_.size() || text_[at] != bracket)
      fail(errc::malformed, at, "The text is not valid JSON.");
    return static_cast<std::uint32_t>(at + 1);
  }

  void scalar_root(ondemand::document& doc, ondemand::json_type type) {
    auto whole = trim_right(text_);
    while (!whole.empty() && is_space(whole.front()))
      whole.remove_prefix(1);
    node n;
    n.begin = static_cast<std::uint32_t>(place(whole));
    n.end = n.begin + static_cast<std::uint32_t>(whole.size());
    n.next = 1;
    if (type == ondemand::json_type::string) {
      std::string_view unescaped;
      check(doc.get_string().get(unescaped));
      n.kind = kind::string;
      n.text = keep(unescaped, whole.data() + 1);
      refuse_trailing(closing_quote(n.begin) + 1);
    } else {
      literal_or_number(n, whole);
    }
    content_.nodes.push_back(n);
  }

  void refuse_trailing(std::size_t end) {
    if (text_.find_first_not_of(" \t\n\r", end) != std::string_view::npos)
      fail(errc::malformed, end, "There is text after the JSON value.");
  }

  std::size_t closing_quote(std::size_t opening) const {
    auto at = opening + 1;
    while (text_[at] != '"')
      at += text_[at] == '\\' ? 2 : 1;
    return at;
  }

  content& content_;
  std::string_view text_;
  std::size_t last_ = 0; // Where the walk stands, for messages.
};

void append_counted(std::string& out, char tag, std::string_view bytes) {
  out.push_back(tag);
  out += std::to_string(bytes.size());
  out.push_back(':');
  out += bytes;
}

void append_canonical(std::string& out, const value& v) {
  switch (v.kind()) {
    case kind::null:
      out.push_back('n');
      return;
    case kind::boolean:
      out.push_back(v.boolean() ? 't' : 'f');
      return;
    case kind::number:
      append_counted(out, '#', v.raw());
      return;
    case kind::string:
      append_counted(out, '"', v.string());
      return;
    case kind::array:
      out.push_back('[');
      for (auto element : v.children())
        append_canonical(out, element);
      out.push_back(']');
      return;
    case kind::object: {
      std::vector<value> members;
      for (auto member : v.children())
        members.push_back(member);
      std::ranges::sort(members, {}, [](const value& m) { return m.name(); });
      out.push_back('{');
      for (const auto& member : members) {
        append_counted(out, '"', member.name());
        append_canonical(out, member);
      }
      out.push_back('}');
      return;
    }
  }
}

} // namespace

document::document(std::unique_ptr<detail::content> c) : content_(std::move(c)) {}
document::document(document&&) noexcept = default;
document& document::operator=(document&&) noexcept = default;
document::~document() = default;

result<document, error> parse(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf"))
    return error{errc::byte_order_mark, 0, "The text starts with a byte order mark."};
  if (text.find_first_not_of(" \t\n\r") == std::string_view::npos)
    return error{errc::malformed, text.size(), "The text is empty; a JSON value is expected."};
  if (text.size() > UINT32_MAX / 2)
    return error{errc::malformed, text.size(), "The text is too long."};
  auto c = std::make_unique<content>(text);
  try {
    walker{*c}.run();
  } catch (error& e) {
    return std::move(e);
  }
  return document{std::move(c)};
}

kind value::kind() const {
  return owner_->nodes[index_].kind;
}

std::string_view value::raw() const {
  const auto& n = owner_->nodes[index_];
  return std::string_view{owner_->text}.substr(n.begin, n.end - n.begin);
}

std::string_view value::string() const {
  return owner_->nodes[index_].text;
}

bool value::boolean() const {
  return raw() == "true";
}

std::optional<std::int64_t> value::integer() const {
  auto text = raw();
  std::int64_t number = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!is_number() || ec != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

double value::real() const {
  auto text = raw();
  double number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::size_t value::size() const {
  return owner_->nodes[index_].children;
}

std::string_view value::name() const {
  return owner_->nodes[index_].name;
}

std::optional<value> value::find(std::string_view name) const {
  if (!is_object())
    return std::nullopt;
  for (auto member : children())
    if (member.name() == name)
      return member;
  return std::nullopt;
}

value::range value::children() const {
  return {iterator{owner_, index_ + 1}, iterator{owner_, owner_->nodes[index_].next}};
}

value::iterator& value::iterator::operator++() {
  index_ = owner_->nodes[index_].next;
  return *this;
}

std::string canonical_bytes(const value& v) {
  std::string out;
  append_canonical(out, v);
  return out;
}

} // namespace runledger::json
