"""Who may do and see what: tables by hand."""

from typing import Any

# Somebody → (organization, role); None: without a token. OWN and OTHER are filled in: regencies of one province.
PEOPLE: dict[str, tuple[str, str] | None] = {
    "nobody": None,
    "responsible": ("OWN", "penanggung-jawab"),
    "entry": ("OWN", "pelaksana-entri-data"),
    "operator": ("OWN", "operator"),
    "internal": ("OWN", "asesor-internal"),
    "sekda": ("OWN", "koordinator-spbe"),
    "head": ("OWN", "kepala-daerah"),
    "roleless": ("OWN", "no-such-role"),
    "neighbour": ("OTHER", "penanggung-jawab"),
    "province": ("PROVINCE", "pembina"),
    "provincial": ("PROVINCE", "penanggung-jawab"),
    "kemendagri": ("kemendagri", "pembina"),
    "reviewer": ("kemenpanrb", "peninjau"),
    "assessor": ("universitas-x", "asesor-eksternal"),
    "administrator": ("kemenpanrb", "administrator"),
    "signatory": ("OWN", "penandatangan"),
}
COLUMNS = tuple(PEOPLE)

# Operation → status for each of COLUMNS, on an assessment of OWN: a draft with indicator 1 answered, never scored, and
# for the scoring operations a submitted one of another cycle.
ASSESSMENT: dict[str, str] = {
    #                                     nob res ent ope int sek hea rol nei pro pca kem rev ass adm sig
    "GET /instruments":                    "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /instruments/{instrument_id}":    "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /cycles":                         "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /assessments":                   "401 409 409 403 403 403 403 403 403 403 403 403 403 403 403 403",
    "GET /assessments":                    "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /assessments/{assessment_id}":    "404 200 200 200 200 200 200 404 404 200 200 200 200 404 404 404",
    "GET /assessments/{assessment_id}/progress":
                                           "404 200 200 200 200 200 200 404 404 200 200 200 200 404 404 404",
    "GET /assessments/{assessment_id}/answers/{number}":
                                           "404 200 200 200 200 200 200 404 404 200 200 200 200 404 404 404",
    "PUT /assessments/{assessment_id}/answers/{number}":
                                           "401 412 412 412 412 403 403 404 404 403 403 403 403 404 404 404",
    "PATCH /assessments/{assessment_id}/answers":
                                           "401 412 412 412 412 403 403 404 404 403 403 403 403 404 404 404",
    "POST /assessments/{assessment_id}/submission":
                                           "401 412 403 403 403 403 403 404 404 403 403 403 403 404 404 404",
    "POST /assessments/{assessment_id}/reopening":
                                           "401 412 403 403 403 403 403 404 404 403 403 403 403 404 404 404",
    "POST /assessments/{assessment_id}/minutes":
                                           "401 403 403 403 403 412 403 404 404 403 403 403 403 404 404 404",
    "POST /assessments/{assessment_id}/consent":
                                           "401 403 403 403 403 412 403 404 404 403 403 403 403 404 404 404",
    "POST /assessments/{assessment_id}/assignment":
                                           "401 403 403 403 403 403 403 404 404 403 403 403 412 404 404 404",
    "POST /assessments/{assessment_id}/review":
                                           "401 403 403 403 403 403 403 404 404 403 403 403 403 404 404 404",
    "GET /assessments/{assessment_id}/stages/{stage}":
                                           "404 404 404 404 404 404 404 404 404 404 404 404 200 404 404 404",
    "PATCH /assessments/{assessment_id}/stages/{stage}/findings":
                                           "401 403 403 403 403 403 403 404 404 403 403 403 403 404 404 404",
    "POST /assessments/{assessment_id}/stages/{stage}/closing":
                                           "401 403 403 403 403 403 403 404 404 403 403 403 403 404 404 404",
    "POST /assessments/{assessment_id}/return":
                                           "401 403 403 403 403 403 403 404 404 403 403 403 412 404 404 404",
    "POST /assessments/{assessment_id}/verification":
                                           "401 403 403 403 403 403 403 404 404 403 403 403 412 404 404 404",
    "POST /assessments/{assessment_id}/publication":
                                           "401 403 403 403 403 403 403 404 404 403 403 403 412 404 404 404",
}  # fmt: skip
SCORING: dict[str, str] = {
    #                                     nob res ent ope int sek hea rol nei pro pca kem rev ass adm sig
    "GET /scores":                         "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /scores/{assessment_id}":         "404 200 200 200 200 200 200 404 404 200 200 200 200 404 404 404",
    "GET /scores/{assessment_id}/history": "404 200 200 200 200 200 200 404 404 200 200 200 200 404 404 404",
    "GET /standings":                      "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /summaries/{cycle}":              "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /summaries/{cycle}/missing":      "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /leaders/{cycle}":                "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /regions/{region}":               "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /comparison":                     "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /exports/{cycle}.csv":            "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /exports/{cycle}.jsonl":          "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /exports/{cycle}.csv-metadata.json":
                                           "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /official/imports":              "401 403 403 403 403 403 403 403 403 403 403 403 200 403 403 403",
    "GET /official/imports/{import_id}":   "401 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
}  # fmt: skip
NOTIFY: dict[str, str] = {
    # On an active subscription of OWN, and the right of OWN.
    #                                     nob res ent ope int sek hea rol nei pro pca kem rev ass adm sig
    "POST /subscriptions":                 "401 201 403 403 403 201 403 403 201 201 201 201 201 201 403 403",
    "GET /subscriptions":                  "401 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /dry-runs":                      "401 200 403 403 403 200 403 403 200 200 200 200 200 200 403 403",
    "GET /subscriptions/{subscription_id}":
                                           "401 200 404 404 404 200 404 404 404 404 404 404 404 404 200 404",
    "POST /subscriptions/{subscription_id}/verification":
                                           "401 412 404 404 404 412 404 404 404 404 404 404 404 404 412 404",
    "POST /subscriptions/{subscription_id}/pause":
                                           "401 412 404 404 404 412 404 404 404 404 404 404 404 404 412 404",
    "POST /subscriptions/{subscription_id}/resumption":
                                           "401 412 404 404 404 412 404 404 404 404 404 404 404 404 412 404",
    "POST /subscriptions/{subscription_id}/closing":
                                           "401 412 404 404 404 412 404 404 404 404 404 404 404 404 412 404",
    "POST /subscriptions/{subscription_id}/secret":
                                           "401 412 404 404 404 412 404 404 404 404 404 404 404 404 403 404",
    "POST /subscriptions/{subscription_id}/networks":
                                           "401 403 403 403 403 403 403 403 403 403 403 403 403 403 412 403",
    "POST /subscriptions/{subscription_id}/replays":
                                           "401 409 404 404 404 409 404 404 404 404 404 404 404 404 403 404",
    "GET /subscriptions/{subscription_id}/replays/{replay_id}":
                                           "401 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
    "POST /subscriptions/{subscription_id}/test":
                                           "401 409 404 404 404 409 404 404 404 404 404 404 404 404 403 404",
    "GET /subscriptions/{subscription_id}/statistics":
                                           "401 200 404 404 404 200 404 404 404 404 404 404 404 404 200 404",
    "GET /deliveries":                     "401 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /deliveries/{delivery_id}":       "401 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
    "GET /stream":                         "401 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "PUT /rights/{organization}":          "401 403 403 403 403 403 403 403 403 403 403 403 403 403 200 403",
    "GET /rights/{organization}":          "401 200 200 200 200 200 200 200 404 404 404 404 404 404 200 200",
    "GET /inbox":                          "401 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /inbox/marks":                   "401 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    # Whoever has the link; without one it is the same for all.
    "GET /confirmations":                  "404 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
    "POST /confirmations":                 "404 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
    "GET /unsubscriptions":                "404 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
    "POST /unsubscriptions":               "404 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
    "GET /webhook-keys":                   "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
}  # fmt: skip
COMMITMENT: dict[str, str] = {
    # On an open commitment of PROVINCE (initiator), OWN and OTHER, a visit, a pledge and a follow-up under it of OWN.
    #                                     nob res ent ope int sek hea rol nei pro pca kem rev ass adm sig
    "POST /visits":                        "401 201 403 403 403 409 409 403 403 403 403 409 403 403 403 403",
    "GET /visits":                         "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /visit-imports":                 "401 403 403 403 403 403 403 403 202 403 403 202 403 403 403 403",
    "GET /visit-imports/{import_id}":      "401 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404",
    "GET /visits/{visit_id}":              "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /visits/{visit_id}/correction":
                                           "401 412 403 403 403 412 412 403 412 403 403 412 403 403 403 403",
    "POST /visits/{visit_id}/withdrawal":
                                           "401 412 403 403 403 412 412 403 412 403 403 412 403 403 403 403",
    "GET /commitment-templates":           "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /commitments":                   "401 403 403 403 403 201 201 403 403 403 403 201 403 403 403 403",
    "GET /commitments":                    "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /commitments/{commitment_id}":    "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /commitments/{commitment_id}/text":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "POST /commitments/{commitment_id}/amendment":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "POST /commitments/{commitment_id}/parties":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "POST /commitments/{commitment_id}/accession":
                                           "401 403 403 403 403 403 403 403 403 403 403 403 403 403 403 403",
    "POST /commitments/{commitment_id}/parties/{block}/signatory":
                                           "401 403 403 403 403 200 200 403 403 403 403 403 403 403 403 200",
    "POST /commitments/{commitment_id}/opening":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "POST /commitments/{commitment_id}/entry-into-force":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "POST /commitments/{commitment_id}/completion":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "POST /commitments/{commitment_id}/withdrawal":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "POST /commitments/{commitment_id}/signatures":
                                           "401 403 403 403 403 409 409 403 403 403 403 403 403 403 403 409",
    "POST /commitments/{commitment_id}/signatures-by-hand":
                                           "401 403 403 403 403 403 403 403 403 403 403 422 403 403 403 403",
    "POST /commitments/{commitment_id}/settlement":
                                           "401 403 403 403 403 403 403 403 403 403 403 409 403 403 403 403",
    "GET /commitments/{commitment_id}/room":
                                           "401 200 200 200 200 200 200 403 200 200 200 200 403 403 403 200",
    "PUT /commitments/{commitment_id}/room":
                                           "401 200 200 200 200 200 200 403 200 200 200 200 403 403 403 200",
    "GET /commitments/{commitment_id}/document":
                                           "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /commitments/{commitment_id}/trail":
                                           "401 200 200 200 200 200 200 403 200 200 200 200 403 403 403 200",
    "GET /verifications/{commitment_id}":
                                           "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /verifications":                 "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /pledges":                       "401 403 403 403 403 201 201 403 403 403 403 403 403 403 403 403",
    "GET /pledges":                        "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /pledges/{pledge_id}":            "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /pledges/{pledge_id}/withdrawal":
                                           "401 403 403 403 403 412 412 403 403 403 403 403 403 403 403 403",
    "POST /followups":                     "401 201 403 201 403 201 201 403 403 403 403 403 403 403 403 403",
    "GET /followups":                      "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /followups/{followup_id}":        "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /followups/{followup_id}/history":
                                           "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "POST /followups/{followup_id}/plan":
                                           "401 412 403 412 403 412 412 403 403 403 403 403 403 403 403 403",
    "POST /followups/{followup_id}/start":
                                           "401 412 403 412 403 412 412 403 403 403 403 403 403 403 403 403",
    "POST /followups/{followup_id}/completion":
                                           "401 412 403 412 403 412 412 403 403 403 403 403 403 403 403 403",
    "POST /followups/{followup_id}/cancellation":
                                           "401 412 403 412 403 412 412 403 403 403 403 403 403 403 403 403",
    "POST /followups/{followup_id}/steps":
                                           "401 412 403 412 403 412 412 403 403 403 403 403 403 403 403 403",
    "POST /followups/{followup_id}/evidence":
                                           "401 412 403 412 403 412 412 403 403 403 403 403 403 403 403 403",
    "POST /followups/{followup_id}/evidence/{evidence_id}/judgement":
                                           "401 403 403 403 403 403 403 403 403 412 403 412 403 403 403 403",
    "GET /followups/{followup_id}/evidence/{evidence_id}/file":
                                           "401 200 200 200 200 200 200 404 404 200 404 200 404 404 404 200",
    "POST /files":                         "401 201 201 201 201 201 201 403 201 201 201 201 201 201 403 201",
    "GET /funnel":                         "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /funnel/organizations":           "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /funnel/organizations.csv":       "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /regions/{region}/timeline":      "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /audit/checkpoint":               "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
    "GET /audit/keys":                     "200 200 200 200 200 200 200 200 200 200 200 200 200 200 200 200",
}  # fmt: skip
# Lists answer everybody, each with what they may see: who finds the assessment among it?
LISTED = {
    "responsible", "entry", "operator", "internal", "sekda", "head", "province", "provincial", "kemendagri", "reviewer",
}  # fmt: skip
SEES_ANSWERS = {"responsible", "entry", "operator", "internal", "sekda", "head", "reviewer"}

UNKNOWN = "0b9d3f0e-4f0a-5d5e-9f6e-0e5f3f7b8a11"
TEXT: dict[str, Any] = {
    "title": "Tabel peran",
    "place": "Bandung",
    "dated": "2023-07-12",
    "clauses": [{"text": "Simulasi."}],
    "period_from": "2023-07-12",
}
BODIES: dict[str, Any] = {
    "PUT /assessments/{assessment_id}/answers/{number}": {"level": 3},
    "PATCH /assessments/{assessment_id}/answers": {"answers": [{"number": 1, "level": 3, "etag": '"x"'}]},
    "POST /assessments/{assessment_id}/assignment": {"assessors": [{"assessor": "a", "organization": "universitas-x"}]},
    "PATCH /assessments/{assessment_id}/stages/{stage}/findings": {
        "findings": [{"number": 1, "level": 3, "etag": '"x"'}]
    },
    "POST /assessments/{assessment_id}/return": {"reasons": [{"text": "Lengkapi."}]},
    "POST /assessments/{assessment_id}/verification": {"aspects": []},
    "POST /subscriptions": {"name": "Uji", "url": "http://127.0.0.1:1/", "types": ["*"]},
    "POST /dry-runs": {"name": "Uji", "url": "http://127.0.0.1:1/", "types": ["*"]},
    "POST /subscriptions/{subscription_id}/secret": {},
    "POST /subscriptions/{subscription_id}/networks": {"networks": ["10.20.0.0/16"]},
    "POST /subscriptions/{subscription_id}/replays": {"aggregate": "spbe-2023:32.11"},
    "POST /inbox/marks": {"items": ["none"]},
    "PUT /rights/{organization}": {"reach": "public"},
    "POST /visits": {"organization": "OWN", "host": "32.12", "visited_on": "2022-03-15", "subject": "Tabel peran"},
    "POST /visits/{visit_id}/correction": {"visited_on": "2022-03-15", "subject": "Tabel peran"},
    "POST /commitments": {"text": TEXT, "initiator": "OWN", "facilitator": "kemendagri"},
    "POST /commitments/{commitment_id}/text": {"text": TEXT},
    "POST /commitments/{commitment_id}/parties": {"organization": "32.13"},
    "POST /commitments/{commitment_id}/parties/{block}/signatory": {
        "name": "Sekretaris Daerah",
        "office": "Sekretaris Daerah",
        "authority_from": "2020-01-01",
    },
    "POST /commitments/{commitment_id}/withdrawal": {"reason": "Tabel peran"},
    "POST /commitments/{commitment_id}/signatures": {"provider": "local", "text_sha256": "0" * 64},
    "POST /commitments/{commitment_id}/signatures-by-hand": {
        "block": "p02",
        "signed_on": "2024-01-01",
        "place": "Bandung",
        "witnessed_by": "Sekretaris Daerah",
        "file": UNKNOWN,
        "sha256": "0" * 64,
    },
    "POST /commitments/{commitment_id}/settlement": {"block": "p02", "reason": "Tabel peran"},
    "POST /pledges": {
        "region": "OWN",
        "instrument": "spbe-2020",
        "index": "4.5",
        "pledged_on": "2023-07-12",
        "due": "2028-07-12",
    },
    "POST /followups": {"region": "OWN", "title": "Tabel peran", "unit": "Bappeda", "due": "2030-01-01"},
    "POST /followups/{followup_id}/plan": {"title": "Tabel peran", "unit": "Bappeda", "due": "2030-01-01"},
    "POST /followups/{followup_id}/completion": {"done_on": "2024-02-01"},
    "POST /followups/{followup_id}/cancellation": {"reason": "Tabel peran"},
    "POST /followups/{followup_id}/steps": {"step": "study_visit", "on": "2024-02-01"},
    "POST /followups/{followup_id}/evidence": {"title": "Tautan", "url": "https://daerah.example/bukti"},
    "POST /followups/{followup_id}/evidence/{evidence_id}/judgement": {"judgement": "accepted"},
    "POST /official/imports": [{"kode": "32.11", "tahun": 2020, "nilai": {"indeks": 3.5}}],
}

RAW: dict[str, tuple[bytes, str]] = {
    "POST /visit-imports": (b"organization,host,visited_on,subject\n32.08,32.11,2022-05-10,Tabel\n", "text/csv"),
    "POST /files": (b"%PDF-1.7\n% made for a test\n", "application/pdf"),
    "POST /verifications": (b"%PDF-1.7\n% made for a test\n", "application/pdf"),
}
"""Bodies that are no JSON."""
