# The secrets that a build reads (docs/google-cloud-build.md), without their values: those would stand in the state.
#     gcloud secrets versions add airfleet-secrets --data-file=secrets.yaml
locals {
  secrets = toset(["airfleet-git-key", "airfleet-ssh-key", "airfleet-known-hosts", "airfleet-secrets"])
}

resource "google_secret_manager_secret" "this" {
  for_each = local.secrets

  secret_id = each.key

  replication {
    auto {}
  }

  depends_on = [google_project_service.this]
}
