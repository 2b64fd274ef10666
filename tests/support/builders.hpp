#pragma once

#include "events/codec.hpp"
#include "events/node.hpp"
#include "events/queue.hpp"
#include "events/tree_head.hpp"
#include "tests/support/seeds.hpp"

#include <concepts>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

/// Facts and states that tests need many of.
namespace runledger::test {

/// Gives every member of a fact a value that depends on its name alone, so that the same fact comes
/// out everywhere, for good.
class sample_filler {
public:
  void operator()(std::string_view name, std::string& text) {
    text = "some " + std::string{name} + " \"\xC3\xA9\"\n";
  }
  template <class Tag>
  void operator()(std::string_view name, named_id<Tag>& id) {
    id.value = std::string{name} + "_01ARZ3NDEKTSV4RRFFQ69G5FAV";
  }
  void operator()(std::string_view, bool& truth) { truth = true; }
  template <std::integral T>
  void operator()(std::string_view name, T& number) {
    number = static_cast<T>(name.size() + 2);
  }
  void operator()(std::string_view name, micro_usd& amount) {
    amount = micro_usd{static_cast<std::int64_t>(name.size()) * 1001};
  }
  void operator()(std::string_view name, timestamp& t) {
    t = from_ms(1'700'000'000'000 + static_cast<std::int64_t>(name.size()));
  }
  void operator()(std::string_view name, payload& p) {
    p.json = "{\"" + std::string{name} + "\": 123456789012345678901234567890, \"x\": [1.50]}";
  }
  void operator()(std::string_view name, digest& d) { d = sha256(name); }
  template <class T>
  void operator()(std::string_view name, std::optional<T>& maybe) {
    (*this)(name, maybe.emplace());
  }
  template <class T>
  void operator()(std::string_view name, std::vector<T>& list) {
    (*this)(name, list.emplace_back());
    (*this)("second", list.emplace_back());
  }
  void operator()(std::string_view, std::map<std::string, std::string>& texts) {
    texts = {{"a", "1"}, {"b", "2"}};
  }
  template <has_fields T>
  void operator()(std::string_view, T& nested) {
    T::fields(nested, *this);
  }
};

/// Gives members random values, or leaves them as they are.
class random_filler {
public:
  explicit random_filler(dice& d) : dice_(d) {}

  void operator()(std::string_view, std::string& text) {
    static const std::vector<std::string> texts{
        "a",           "key",        "\xF0\x9F\x98\x80",
        "\"quoted\"",  "line\nline", std::string{"nul\0", 4},
        "\x7F\x1F",    "sp ace",     "\\/",
        "\xE2\x80\xA8"};
    if (dice_.coin())
      text = dice_.pick(texts);
  }
  template <class Tag>
  void operator()(std::string_view name, named_id<Tag>& id) {
    (*this)(name, id.value);
  }
  void operator()(std::string_view, bool& truth) { truth = dice_.coin(); }
  template <std::integral T>
  void operator()(std::string_view, T& number) {
    // Numbers of events are read as 64 bits with a sign.
    constexpr auto largest = static_cast<T>(std::min<std::uintmax_t>(
        std::numeric_limits<T>::max(), std::numeric_limits<std::int64_t>::max()));
    static const std::vector<T> numbers{0, 1, 2, 1000, largest};
    number = dice_.pick(numbers);
    if constexpr (std::signed_integral<T>)
      if (dice_.percent(20))
        number = static_cast<T>(-number);
  }
  void operator()(std::string_view name, micro_usd& amount) {
    std::int64_t n = 0;
    (*this)(name, n);
    amount = micro_usd{n};
  }
  void operator()(std::string_view, timestamp& t) {
    t = from_ms(dice_.between(0, 4'000'000'000'000));
  }
  void operator()(std::string_view, payload& p) {
    static const std::vector<std::string> texts{
        "null", "0.1000", "\"\\u00e9\"", "[]", "{\"a\": {\"b\":[1 , 2]}}", "1e300", "true"};
    auto roll = dice_.below(4);
    if (roll == 0)
      p.blob = blob_ref{sha256(std::to_string(dice_.next())), dice_.next() >> 2};
    else if (roll != 1)
      p.json = dice_.pick(texts);
  }
  void operator()(std::string_view, digest& d) {
    if (dice_.coin())
      d = sha256(std::to_string(dice_.next()));
  }
  template <class T>
  void operator()(std::string_view name, std::optional<T>& maybe) {
    if (dice_.coin())
      (*this)(name, maybe.emplace());
  }
  template <class T>
  void operator()(std::string_view name, std::vector<T>& list) {
    for (auto n = dice_.below(3); n > 0; --n)
      (*this)(name, list.emplace_back());
  }
  void operator()(std::string_view, std::map<std::string, std::string>& texts) {
    if (dice_.coin())
      texts["x"] = "y";
  }
  template <has_fields T>
  void operator()(std::string_view, T& nested) {
    T::fields(nested, *this);
  }

private:
  dice& dice_;
};

/// Calls `f` with a default-made fact of each type in an entity's event variant.
template <class Event, class F, std::size_t I = 0>
void for_each_fact(F f) {
  if constexpr (I < std::variant_size_v<Event>) {
    f(std::variant_alternative_t<I, Event>{});
    for_each_fact<Event, F, I + 1>(std::move(f));
  }
}

/// The same for all entities; `f(event variant's default, fact)`.
template <class F>
void for_each_fact_of_all(F f) {
  auto of = [&]<class Event>(std::type_identity<Event>) {
    for_each_fact<Event>([&](auto fact) { f(std::type_identity<Event>{}, std::move(fact)); });
  };
  of(std::type_identity<run::event>{});
  of(std::type_identity<session::event>{});
  of(std::type_identity<agent::event>{});
  of(std::type_identity<key::event>{});
  of(std::type_identity<workspace::event>{});
  of(std::type_identity<names::event>{});
  of(std::type_identity<worker::event>{});
  of(std::type_identity<queue::event>{});
  of(std::type_identity<audit::event>{});
  of(std::type_identity<node::event>{});
  of(std::type_identity<partition_event>{});
}

} // namespace runledger::test
