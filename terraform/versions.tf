terraform {
  # 1.11 has write-only arguments: the database's password goes to Google and into no state.
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region

  default_labels = merge(var.labels, { installation = var.name })
}

# What has to be switched on in the project before anything else can be made in it.
resource "google_project_service" "this" {
  for_each = toset(concat(
    ["cloudresourcemanager", "compute", "iam", "iap", "oslogin", "secretmanager", "servicenetworking", "sqladmin"],
    var.cloud_build == null ? [] : ["cloudbuild"],
    var.memorystore == null ? [] : ["redis"],
  ))

  service            = "${each.key}.googleapis.com"
  disable_on_destroy = false
}
