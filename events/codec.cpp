#include "events/codec.hpp"

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

template <class Event, std::size_t I = 0>
result<Event, decode_errc> decode_as(const std::string& type, const std::string& data) {
  if constexpr (I == std::variant_size_v<Event>) {
    return decode_errc::unknown_type;
  } else {
    using fact_type = std::variant_alternative_t<I, Event>;
    if (type != newest_type<fact_type>())
      return decode_as<Event, I + 1>(type, data);
    auto parsed = json::parse(data);
    if (!parsed)
      return decode_errc::damaged;
    auto fact = read<fact_type>(parsed->root());
    if (!fact)
      return decode_errc::damaged;
    return Event{std::move(*fact)};
  }
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
  return decode_as<Event>(e.type, e.data);
}

template encoded_fact encode(const run::event&);
template encoded_fact encode(const session::event&);
template encoded_fact encode(const agent::event&);
template encoded_fact encode(const key::event&);
template encoded_fact encode(const workspace::event&);
template encoded_fact encode(const names::event&);
template encoded_fact encode(const worker::event&);
template result<run::event, decode_errc> decode(const envelope&);
template result<session::event, decode_errc> decode(const envelope&);
template result<agent::event, decode_errc> decode(const envelope&);
template result<key::event, decode_errc> decode(const envelope&);
template result<workspace::event, decode_errc> decode(const envelope&);
template result<names::event, decode_errc> decode(const envelope&);
template result<worker::event, decode_errc> decode(const envelope&);

} // namespace runledger
