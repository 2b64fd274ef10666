#pragma once

#include "events/ids.hpp"
#include "events/json.hpp"
#include "events/json_writer.hpp"
#include "events/log/blob_store.hpp"
#include "events/money.hpp"
#include "events/time.hpp"

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// How the members of a stored fact become JSON and come back. Each fact lists its members once, in
/// the order in which they are written; that list is the format:
///
///   template <class Fact, class Visit> static void fields(Fact& f, Visit&& v) { v("key", f.key);
///   ... }
///
/// Empty strings, empty lists, absent optionals and false are left out; a missing member reads as
/// its default, so members can be added. A member of the wrong type makes the fact unreadable.
namespace runledger {

/// A caller's JSON, verbatim: one value of any type, or the blob that holds it (design rule 9).
struct payload {
  std::string json; ///< The text as written; empty: absent (or in the blob).
  std::optional<blob_ref> blob;
  bool empty() const { return json.empty() && !blob; }
  friend bool operator==(const payload&, const payload&) = default;
};

/// A payload that is one JSON string.
inline payload text_payload(std::string_view text) {
  payload out;
  json_writer::append_quoted(out.json, text);
  return out;
}

/// A failure as callers see it: a stable code and a sentence.
struct failure {
  std::string code, message;
  bool empty() const { return code.empty() && message.empty(); }
  friend bool operator==(const failure&, const failure&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("code", f.code);
    v("message", f.message);
  }
};

template <class T>
concept has_fields = requires(T& t) {
  T::fields(t, [](std::string_view, auto&) {});
};

/// Writes the members of a fact into an object that is open.
class field_writer {
public:
  explicit field_writer(json_writer& out) : out_(out) {}

  void operator()(std::string_view name, const std::string& text) {
    if (!text.empty())
      out_.member(name, text);
  }
  template <class Tag>
  void operator()(std::string_view name, const named_id<Tag>& id) {
    (*this)(name, id.value);
  }
  void operator()(std::string_view name, bool truth) {
    if (truth)
      out_.member(name, true);
  }
  template <std::integral T>
  void operator()(std::string_view name, T number) {
    out_.member(name, number);
  }
  void operator()(std::string_view name, micro_usd amount) { out_.member(name, count(amount)); }
  void operator()(std::string_view name, timestamp t) { out_.member(name, to_rfc3339(t)); }
  void operator()(std::string_view name, const payload& p) {
    if (p.blob)
      blobs_.emplace_back(std::string{name}, *p.blob);
    else if (!p.json.empty())
      out_.raw_member(name, p.json);
  }
  void operator()(std::string_view name, const digest& d) {
    if (d != digest{})
      out_.member(name, to_hex(d));
  }
  template <class T>
  void operator()(std::string_view name, const std::optional<T>& maybe) {
    if (maybe)
      (*this)(name, *maybe);
  }
  template <class T>
  void operator()(std::string_view name, const std::vector<T>& list) {
    if (list.empty())
      return;
    out_.key(name).begin_array();
    for (const auto& item : list)
      element(item);
    out_.end_array();
  }
  void operator()(std::string_view name, const std::map<std::string, std::string>& texts) {
    if (texts.empty())
      return;
    out_.key(name).begin_object();
    for (const auto& [key, text] : texts)
      out_.member(key, text);
    out_.end_object();
  }
  template <has_fields T>
  void operator()(std::string_view name, const T& nested) {
    if constexpr (requires { nested.empty(); })
      if (nested.empty())
        return;
    out_.key(name);
    element(nested);
  }

  /// Names the blobs of this fact: `"blobs":{"/output":{"digest":...,"size":...}}`.
  void finish() {
    if (blobs_.empty())
      return;
    out_.key("blobs").begin_object();
    for (const auto& [name, ref] : blobs_) {
      out_.key('/' + name).begin_object();
      out_.member("digest", to_hex(ref.id)).member("size", ref.size).end_object();
    }
    out_.end_object();
  }

private:
  void element(const std::string& text) { out_.value(text); }
  template <has_fields T>
  void element(const T& nested) {
    out_.begin_object();
    field_writer inner{out_};
    T::fields(nested, inner);
    out_.end_object();
  }

  json_writer& out_;
  std::vector<std::pair<std::string, blob_ref>> blobs_;
};

/// Reads the members of a fact. `ok()` turns false at the first member of a wrong type or range.
class field_reader {
public:
  explicit field_reader(const json::value& object) : object_(object), ok_(object.is_object()) {
    if (ok_)
      blobs_ = object.find("blobs");
  }
  bool ok() const { return ok_; }

  void operator()(std::string_view name, std::string& text) {
    if (auto v = member(name); v && need(v->is_string()))
      text = v->string();
  }
  template <class Tag>
  void operator()(std::string_view name, named_id<Tag>& id) {
    (*this)(name, id.value);
  }
  void operator()(std::string_view name, bool& truth) {
    if (auto v = member(name); v && need(v->is_boolean()))
      truth = v->boolean();
  }
  template <std::integral T>
  void operator()(std::string_view name, T& number) {
    auto v = member(name);
    if (!v)
      return;
    auto n = v->integer();
    if (need(n && std::in_range<T>(*n)))
      number = static_cast<T>(*n);
  }
  void operator()(std::string_view name, micro_usd& amount) {
    std::int64_t n = count(amount);
    (*this)(name, n);
    amount = micro_usd{n};
  }
  void operator()(std::string_view name, timestamp& t) {
    auto v = member(name);
    if (!v || !need(v->is_string()))
      return;
    auto read = parse_rfc3339(v->string());
    if (need(read.has_value()))
      t = *read;
  }
  void operator()(std::string_view name, payload& p) {
    if (auto v = member(name))
      p.json = v->raw();
    else if (blobs_)
      read_blob('/' + std::string{name}, p);
  }
  void operator()(std::string_view name, digest& d) {
    auto v = member(name);
    if (!v || !need(v->is_string()))
      return;
    auto read = digest_from_hex(v->string());
    if (need(read.has_value()))
      d = *read;
  }
  template <class T>
  void operator()(std::string_view name, std::optional<T>& maybe) {
    if (!member(name))
      return;
    T inner{};
    (*this)(name, inner);
    maybe = std::move(inner);
  }
  template <class T>
  void operator()(std::string_view name, std::vector<T>& list) {
    auto v = member(name);
    if (!v || !need(v->is_array()))
      return;
    for (auto item : v->children()) {
      T inner{};
      element(item, inner);
      list.push_back(std::move(inner));
    }
  }
  void operator()(std::string_view name, std::map<std::string, std::string>& texts) {
    auto v = member(name);
    if (!v || !need(v->is_object()))
      return;
    for (auto item : v->children())
      if (need(item.is_string()))
        texts.emplace(item.name(), item.string());
  }
  template <has_fields T>
  void operator()(std::string_view name, T& nested) {
    if (auto v = member(name))
      element(*v, nested);
  }

private:
  std::optional<json::value> member(std::string_view name) const {
    return ok_ ? object_.find(name) : std::nullopt;
  }
  bool need(bool truth) {
    ok_ = ok_ && truth;
    return truth;
  }
  void element(const json::value& v, std::string& text) {
    if (need(v.is_string()))
      text = v.string();
  }
  template <has_fields T>
  void element(const json::value& v, T& nested) {
    field_reader inner{v};
    T::fields(nested, inner);
    need(inner.ok());
  }
  void read_blob(const std::string& pointer, payload& p) {
    auto entry = blobs_->find(pointer);
    if (!entry)
      return;
    blob_ref ref;
    auto id = entry->find("digest"), size = entry->find("size");
    auto hash = id && id->is_string() ? digest_from_hex(id->string()) : std::nullopt;
    auto bytes = size ? size->integer() : std::nullopt;
    if (need(hash && bytes && *bytes >= 0))
      p.blob = blob_ref{*hash, static_cast<std::uint64_t>(*bytes)};
  }

  json::value object_;
  std::optional<json::value> blobs_;
  bool ok_;
};

/// Moves every payload of a fact that is over the threshold into the store. False: the store could
/// not take it.
template <class Fact>
bool externalize(Fact& fact, blob_store& store) {
  bool ok = true;
  auto visit = overloaded{[&](std::string_view, payload& p) {
                            if (p.json.size() <= blob_threshold_bytes)
                              return;
                            auto ref = store.put(p.json);
                            ok = ok && ref.has_value();
                            if (ref)
                              p = payload{{}, *ref};
                          },
                          [](std::string_view, auto&) {}};
  Fact::fields(fact, visit);
  return ok;
}

/// The payload's JSON, from the event or from the store.
inline result<std::string, blob_errc> load(const payload& p, const blob_store& store) {
  if (!p.blob)
    return p.json;
  return store.get(p.blob->id);
}

} // namespace runledger
