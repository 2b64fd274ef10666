#pragma once

#include "events/envelope.hpp"
#include "events/result.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// How an event stands in a Kafka record: the CloudEvents 1.0 Kafka protocol binding, with what
/// stands beside the envelope in headers of our own. Normative text: docs/events.md.
///
/// Writing and reading are each other's inverse. Reading is strict and total: any bytes give an
/// event or a reason, and an event is given only for the one form in which it is written, so that
/// a changed header or byte either refuses the record or breaks its hashes (which the fold checks,
/// not this). Nothing here knows a Kafka client. Pure; any thread, each writer on one.
namespace runledger::kafka {

/// How the event is divided between headers and value. Readers take both.
enum class content_mode : std::uint8_t {
  binary = 1, ///< Attributes in `ce_` headers; the value is the payload, byte for byte.
  structured, ///< The value is the event as one JSON object; the payload's bytes stand in it.
};

struct header_view {
  std::string_view name;
  std::optional<std::string_view> value; ///< Nothing: Kafka's null.
};

/// A record as a client hands it out or takes it. Owns nothing.
struct record_view {
  std::optional<std::string_view> key;
  std::span<const header_view> headers;
  std::optional<std::string_view> value;
};

/// Makes records of events.
class record_writer {
public:
  explicit record_writer(content_mode mode = content_mode::binary) : mode_(mode) {}

  /// The event, sealed, with its epoch, open and due_ms. `origin` says where a copied event stood
  /// first; empty: it is no copy. Valid until the next call, and while `r` and `origin` are.
  record_view write(const record& r, std::string_view origin = {});

private:
  void write_attributes(const envelope& e);
  void write_beside(const record& r, std::string_view origin);
  /// Copies a text that the event does not hold; there is room for it.
  std::string_view keep(std::string_view text, std::string_view more = {});

  content_mode mode_;
  std::string kept_, json_;
  std::vector<header_view> headers_;
};

/// An event as a record tells it. Its partition and offset are not set: the client knows them.
struct decoded_record {
  std::shared_ptr<record> event;
  std::string origin; ///< Empty: no copy.
};

/// Copies the event out of a record, or says in one sentence why there is none. Readers skip such a
/// record. Hashes are read, not checked.
result<decoded_record, std::string> decode(const record_view& r);

} // namespace runledger::kafka
