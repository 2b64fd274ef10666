#include "actors/importer_actor.hpp"

#include "actors/harness/artifact.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <filesystem>

namespace runledger {

namespace {

constexpr std::uint64_t artifact_bytes_max = 4ULL << 30;

/// Asked again after this, the blob store may have room, as the ledger may.
constexpr std::chrono::milliseconds store_retry{1000};

/// The size of a content that is there.
result<std::uint64_t, blob_errc> size_of(const blob_store& blobs, const digest& id) {
  std::error_code failed;
  if (const auto path = blobs.path_of(id))
    if (const auto size = std::filesystem::file_size(*path, failed); !failed)
      return size;
  const auto content = blobs.get(id);
  return content ? result<std::uint64_t, blob_errc>{content->size()} : content.error();
}

/// Fills blob or problem with what a remote worker has uploaded; false: that cannot be said now.
bool find_uploaded(const services& s, const harness::frame& f, artifact_taken& out) {
  const auto id = digest_from_hex(f.digest.substr(f.digest.find(':') + 1));
  const auto size =
      id ? size_of(s.blobs, *id) : result<std::uint64_t, blob_errc>{blob_errc::missing};
  if (!size && size.error() == blob_errc::unavailable)
    return false;
  if (!size)
    out.problem = "The content of \"" + f.path + "\" was not uploaded before.";
  else if (*size != static_cast<std::uint64_t>(f.size))
    out.problem = "The artifact \"" + f.path + "\" has " + std::to_string(*size)
                  + " bytes, and not " + std::to_string(f.size) + " as its frame says.";
  else
    out.blob = blob_ref{*id, *size};
  return true;
}

/// Fills blob or problem; false: the store cannot take it now.
bool import(services& s, const take_artifact_mail& ask, artifact_taken& out) {
  if (ask.uploaded)
    return find_uploaded(s, *ask.frame, out);
  auto file = harness::take_artifact(ask.work_dir, ask.frame->path, artifact_bytes_max);
  if (!file) {
    out.problem = file.error().message;
    return true;
  }
  auto blob = s.blobs.put_file(file->fd(), artifact_bytes_max);
  if (blob)
    out.blob = *blob;
  else if (blob.error() == blob_errc::unavailable)
    return false;
  else
    out.problem = "The artifact `" + ask.frame->path + "` is too large.";
  return true;
}

importer_actor::behavior_type importer_behavior(importer_actor::pointer self, services_ptr s) {
  return {[self, s](take_artifact_mail& ask) {
            artifact_taken taken;
            if (!import(*s, ask, taken)) { // Its run waits, and loses nothing by it.
              self->delayed_send(self, store_retry, std::move(ask));
              return;
            }
            taken.attempt = ask.attempt;
            taken.frame = ask.frame;
            run_mail mail;
            mail.session = ask.session;
            mail.workspace = ask.workspace;
            mail.body = std::move(taken);
            caf::anon_send(ask.by, std::move(mail));
          },
          [](const remove_folder& ask) {
            std::error_code ignored;
            std::filesystem::remove_all(ask.path, ignored);
          }};
}

} // namespace

importer_actor spawn_importer(caf::actor_system& sys, services_ptr s) {
  if (s->settings.importer_thread)
    return sys.spawn<caf::detached>(importer_behavior, std::move(s));
  return sys.spawn(importer_behavior, std::move(s));
}

} // namespace runledger
