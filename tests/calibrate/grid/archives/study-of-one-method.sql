BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'grid');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'clip-cfr','{"cache": "0000000000000000000000000000000000000000000000000000000000000000", "space": {"erm_lr": [0.001, 0.003], "lr": [0.0001, 0.001]}, "settings": {"steps": 60, "erm_steps": 60, "momentum": 0.9, "weight_decay": 1e-05, "batch_size": 32, "calibration_batch_size": 24, "positive": "dps", "negative": "rns", "num_positives": 4, "num_negatives": 4, "positive_source": "correct", "positive_pool": 64, "negative_pool": 256, "nns_pool": "all", "dps_source": "erm", "dps_momentum": 0.9, "dps_weighting": "none", "temperature": 0.1, "holistic": "cosine", "holistic_weight": 1.0, "supcon_temperature": 0.07, "alpha": 1.0, "alpha_schedule": "constant", "cross_entropy": "both", "init": "erm", "logit_scale": 14.285714285714285, "freeze_logit_scale": false, "dropout": 0.1, "calibration_source": "erm", "calibration_size": null, "calibration_subset": "random", "calibration_minimum": 1, "calibration_fallback": "none", "selection": "worst-class", "evaluations": 6, "dfr_subsamples": 3}, "seeds": [0, 1], "method": "cfr", "sampler": "grid", "prune": false, "hold_rows": null}');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'erm_lr',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.001, 0.003]}}');
INSERT INTO "trial_params" VALUES(2,1,'lr',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.0001, 0.001]}}');
INSERT INTO "trial_params" VALUES(3,2,'erm_lr',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.001, 0.003]}}');
INSERT INTO "trial_params" VALUES(4,2,'lr',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": [0.0001, 0.001]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_system_attributes" VALUES(1,1,'fixed_params','{"erm_lr": 0.001, "lr": 0.0001}');
INSERT INTO "trial_system_attributes" VALUES(2,2,'fixed_params','{"erm_lr": 0.001, "lr": 0.001}');
INSERT INTO "trial_system_attributes" VALUES(3,3,'fixed_params','{"erm_lr": 0.003, "lr": 0.0001}');
INSERT INTO "trial_system_attributes" VALUES(4,4,'fixed_params','{"erm_lr": 0.003, "lr": 0.001}');
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'point','0');
INSERT INTO "trial_user_attributes" VALUES(2,1,'process','"a-machine:2"');
INSERT INTO "trial_user_attributes" VALUES(3,1,'alive','1795771164.9574413');
INSERT INTO "trial_user_attributes" VALUES(4,1,'runs','[{"seed": 0, "selected_step": 60, "val": {"worst_group": 0.32608695652173914, "average": 0.7916666666666666, "train_weighted_average": 0.9649712027103332, "group_mean": 0.7411537737624694, "worst_class": 0.7398373983739838}, "test": {"worst_group": 0.36, "average": 0.74, "train_weighted_average": 0.9771982978723404, "group_mean": 0.7336170212765958, "worst_class": 0.6893203883495146}}, {"seed": 1, "selected_step": 60, "val": {"worst_group": 0.32608695652173914, "average": 0.7916666666666666, "train_weighted_average": 0.9649712027103332, "group_mean": 0.7411537737624694, "worst_class": 0.7398373983739838}, "test": {"worst_group": 0.36, "average": 0.7375, "train_weighted_average": 0.976964255319149, "group_mean": 0.7309574468085106, "worst_class": 0.6893203883495146}}]');
INSERT INTO "trial_user_attributes" VALUES(5,2,'point','1');
INSERT INTO "trial_user_attributes" VALUES(6,2,'process','"a-machine:2"');
INSERT INTO "trial_user_attributes" VALUES(7,2,'runs','[{"seed": 0, "selected_step": 60, "val": {"worst_group": 0.9242424242424242, "average": 0.9416666666666667, "train_weighted_average": 0.9411003863996191, "group_mean": 0.9403101161413182, "worst_class": 0.9316239316239316}, "test": {"worst_group": 0.8723404255319149, "average": 0.9425, "train_weighted_average": 0.9622618667201928, "group_mean": 0.9408681252509032, "worst_class": 0.9123711340206185}}, {"seed": 1, "selected_step": 60, "val": {"worst_group": 0.9242424242424242, "average": 0.9375, "train_weighted_average": 0.9353601266593594, "group_mean": 0.9370633628945649, "worst_class": 0.9316239316239316}, "test": {"worst_group": 0.8723404255319149, "average": 0.9425, "train_weighted_average": 0.9622618667201928, "group_mean": 0.9408681252509032, "worst_class": 0.9123711340206185}}]');
INSERT INTO "trial_user_attributes" VALUES(8,3,'point','2');
INSERT INTO "trial_user_attributes" VALUES(9,3,'process','"a-machine:1"');
INSERT INTO "trial_user_attributes" VALUES(10,3,'alive','0.0');
INSERT INTO "trial_user_attributes" VALUES(11,4,'point','3');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,7.39837398373983767818e-01,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,9.31623931623931644807e-01,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-27 09:19:04.820235','2026-11-27 09:19:25.252205');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-27 09:19:25.316121','2026-11-27 09:19:25.704847');
INSERT INTO "trials" VALUES(3,2,1,'RUNNING','2026-11-27 09:19:25.754203',NULL);
INSERT INTO "trials" VALUES(4,3,1,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
