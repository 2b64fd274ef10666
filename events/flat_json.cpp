#include "events/flat_json.hpp"

#include <cstring>

namespace runledger::json {

namespace {

constexpr int deepest = 8;
constexpr std::size_t most_nested_members = 16;
constexpr std::size_t longest_integer = 18; ///< Digits that always fit.
constexpr std::size_t longest_number = 200; ///< Digits of which a double always has the range.

/// Walks a text; every function says whether what stands at the cursor was taken.
class scanner {
public:
  explicit scanner(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  bool at_end() const { return at_ == end_; }
  const char* place() const { return at_; }

  bool take(char c) {
    if (at_ == end_ || *at_ != c)
      return false;
    ++at_;
    return true;
  }

  /// A text of printable ASCII without escapes.
  bool take_string(std::string_view& out) {
    if (!take('"'))
      return false;
    const char* first = at_;
    while (end_ - at_ >= 8 && is_plain(at_))
      at_ += 8;
    while (at_ != end_ && *at_ >= 0x20 && *at_ < 0x7f && *at_ != '"' && *at_ != '\\')
      ++at_;
    out = {first, static_cast<std::size_t>(at_ - first)};
    return take('"');
  }

  bool take_value(flat_member& out, int depth) {
    const char* first = at_;
    if (at_ == end_ || !take_kind(out, depth))
      return false;
    out.raw = {first, static_cast<std::size_t>(at_ - first)};
    return true;
  }

  /// An object; `next` gives the member to fill, or nullptr if there is no room, and `keep` judges
  /// it once it is filled.
  template <class Next, class Keep>
  bool take_object(Next&& next, Keep&& keep, int depth) {
    if (depth > deepest || !take('{'))
      return false;
    if (take('}'))
      return true;
    do {
      flat_member* member = next();
      if (member == nullptr || !take_string(member->name) || !take(':')
          || !take_value(*member, depth) || !keep(*member))
        return false;
    } while (take(','));
    return take('}');
  }

private:
  /// Eight bytes that are all plain: 0x20 to 0x7e, neither a quote nor a backslash.
  static bool is_plain(const char* bytes) {
    constexpr std::uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    std::uint64_t word = 0;
    std::memcpy(&word, bytes, sizeof word);
    auto zero_in = [](std::uint64_t w) { return (w - ones) & ~w & tops; };
    auto below_space = (word - ones * 0x20) & ~word & tops;
    return ((word & tops) | below_space | zero_in(word ^ ones * '"') | zero_in(word ^ ones * '\\')
            | zero_in(word ^ ones * 0x7f))
           == 0;
  }

  bool take_kind(flat_member& out, int depth) {
    switch (*at_) {
      case '"':
        out.kind = kind::string;
        return take_string(out.text);
      case '{':
        out.kind = kind::object;
        return take_nested(depth + 1);
      case '[':
        out.kind = kind::array;
        return take_array(depth + 1);
      case 't':
        out.kind = kind::boolean;
        return take_word("true");
      case 'f':
        out.kind = kind::boolean;
        return take_word("false");
      case 'n':
        out.kind = kind::null;
        return take_word("null");
      default:
        out.kind = kind::number;
        return take_number(out);
    }
  }

  bool take_word(std::string_view word) {
    if (std::string_view{at_, static_cast<std::size_t>(end_ - at_)}.substr(0, word.size()) != word)
      return false;
    at_ += word.size();
    return true;
  }

  std::size_t take_digits() {
    const char* first = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9')
      ++at_;
    return static_cast<std::size_t>(at_ - first);
  }

  /// An integer, or a decimal without an exponent.
  bool take_number(flat_member& out) {
    bool negative = take('-');
    const char* first = at_;
    auto digits = take_digits();
    if (digits == 0 || digits > longest_number || (*first == '0' && digits > 1))
      return false;
    if (take('.'))
      return take_digits() <= longest_number && at_[-1] != '.';
    if (digits > longest_integer || (negative && *first == '0'))
      return false; // The parser knows what these are.
    std::int64_t value = 0;
    for (const char* c = first; c != at_; ++c)
      value = value * 10 + (*c - '0');
    out.integer = negative ? -value : value;
    return true;
  }

  bool take_nested(int depth) {
    std::array<std::string_view, most_nested_members> names;
    std::size_t size = 0;
    flat_member member;
    return take_object(
        [&] {
          member = {};
          return &member;
        },
        [&](const flat_member& m) {
          for (std::size_t i = 0; i < size; ++i)
            if (names[i] == m.name)
              return false;
          if (size == names.size())
            return false;
          names[size++] = m.name;
          return true;
        },
        depth);
  }

  bool take_array(int depth) {
    if (depth > deepest || !take('['))
      return false;
    if (take(']'))
      return true;
    do {
      flat_member element;
      if (!take_value(element, depth))
        return false;
    } while (take(','));
    return take(']');
  }

  const char* at_;
  const char* end_;
};

} // namespace

bool flat_object::scan(std::string_view text) {
  size_ = next_ = 0;
  scanner scan{text};
  auto next = [&]() -> flat_member* {
    if (size_ == members_.size())
      return nullptr;
    members_[size_] = {};
    return &members_[size_];
  };
  auto keep = [&](const flat_member& m) {
    for (std::size_t i = 0; i < size_; ++i)
      if (members_[i].name == m.name)
        return false;
    ++size_;
    return true;
  };
  return scan.take_object(next, keep, 1) && scan.at_end();
}

const flat_member* flat_object::find(std::string_view name) {
  for (std::size_t i = next_; i < size_; ++i)
    if (members_[i].name == name) {
      next_ = i + 1;
      return &members_[i];
    }
  for (std::size_t i = 0; i < next_; ++i)
    if (members_[i].name == name)
      return &members_[i];
  return nullptr;
}

} // namespace runledger::json
