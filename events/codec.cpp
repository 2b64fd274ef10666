#include "events/codec.hpp"

#include "events/flat_reader.hpp"
#include "events/node.hpp"
#include "events/queue.hpp"
#include "events/tree_head.hpp"

#include <unordered_map>
#include <utility>

namespace runledger {

namespace {

/// Version 1 of everything: no upcaster is needed yet. One goes here, before the members are read.
template <class Fact>
const std::string& newest_type() {
  static const std::string type = full_type(Fact::name, 1);
  return type;
}

template <class Fact>
std::optional<Fact> read(const json::value& data) {
  Fact fact;
  field_reader reader{data};
  Fact::fields(fact, reader);
  if (!reader.ok())
    return std::nullopt;
  return fact;
}

template <class Event, class Fact>
result<Event, decode_errc> decode_fact(const std::string& data) {
  // Nearly all facts are written so that they can be read in one pass.
  if (flat_reader quick{data}; quick.ok()) {
    Fact fact;
    Fact::fields(fact, quick);
    if (quick.ok())
      return Event{std::move(fact)};
  }
  auto parsed = json::parse(data);
  if (!parsed)
    return decode_errc::damaged;
  auto fact = read<Fact>(parsed->root());
  if (!fact)
    return decode_errc::damaged;
  return Event{std::move(*fact)};
}

template <class Event>
using decoder = result<Event, decode_errc> (*)(const std::string& data);

/// The decoders of an entity's facts by their full types.
template <class Event>
const auto& decoders() {
  static const auto all = []<std::size_t... I>(std::index_sequence<I...>) {
    return std::unordered_map<std::string_view, decoder<Event>>{
        {newest_type<std::variant_alternative_t<I, Event>>(),
         &decode_fact<Event, std::variant_alternative_t<I, Event>>}...};
  }
  (std::make_index_sequence<std::variant_size_v<Event>>{});
  return all;
}

} // namespace

template <class Event>
encoded_fact encode(const Event& fact) {
  encoded_fact out;
  std::visit(
      [&](const auto& one) {
        using fact_type = std::decay_t<decltype(one)>;
        out.type = newest_type<fact_type>();
        out.data.reserve(160);
        json_writer json{out.data};
        json.begin_object();
        field_writer writer{json};
        fact_type::fields(one, writer);
        writer.finish();
        json.end_object();
      },
      fact);
  return out;
}

template <class Event>
result<Event, decode_errc> decode(const envelope& e) {
  auto known = decoders<Event>().find(e.type);
  if (known == decoders<Event>().end())
    return decode_errc::unknown_type;
  return known->second(e.data);
}

template encoded_fact encode(const run::event&);
template encoded_fact encode(const session::event&);
template encoded_fact encode(const agent::event&);
template encoded_fact encode(const key::event&);
template encoded_fact encode(const workspace::event&);
template encoded_fact encode(const names::event&);
template encoded_fact encode(const worker::event&);
template encoded_fact encode(const queue::event&);
template encoded_fact encode(const audit::event&);
template encoded_fact encode(const node::event&);
template encoded_fact encode(const partition_event&);
template result<run::event, decode_errc> decode(const envelope&);
template result<session::event, decode_errc> decode(const envelope&);
template result<agent::event, decode_errc> decode(const envelope&);
template result<key::event, decode_errc> decode(const envelope&);
template result<workspace::event, decode_errc> decode(const envelope&);
template result<names::event, decode_errc> decode(const envelope&);
template result<worker::event, decode_errc> decode(const envelope&);
template result<queue::event, decode_errc> decode(const envelope&);
template result<audit::event, decode_errc> decode(const envelope&);
template result<node::event, decode_errc> decode(const envelope&);
template result<partition_event, decode_errc> decode(const envelope&);

} // namespace runledger
