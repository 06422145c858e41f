BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0008');
CREATE TABLE annotations (
	id INTEGER NOT NULL, 
	"SeriesInstanceUID" VARCHAR(64) NOT NULL, 
	version INTEGER NOT NULL, 
	author VARCHAR(255) NOT NULL, 
	origin VARCHAR(16) NOT NULL, 
	"SOPInstanceUID" VARCHAR(64) NOT NULL, 
	segments JSON NOT NULL, 
	comment TEXT, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_annotations PRIMARY KEY (id), 
	CONSTRAINT "fk_annotations_SOPInstanceUID" FOREIGN KEY("SOPInstanceUID") REFERENCES instances ("SOPInstanceUID"), 
	CONSTRAINT "fk_annotations_SeriesInstanceUID" FOREIGN KEY("SeriesInstanceUID") REFERENCES series ("SeriesInstanceUID"), 
	CONSTRAINT "uq_annotations_SeriesInstanceUID" UNIQUE ("SeriesInstanceUID", version)
);
INSERT INTO "annotations" VALUES(1,'2.25.1002',1,'anton','slicer','2.25.64991027515899725229450108808011059289100519075941023030583','[{"number": 1, "label": "nodule"}]',NULL,'2026-12-01 02:14:31.593039');
CREATE TABLE audit_checkpoints (
	id INTEGER NOT NULL, 
	event_id INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	at DATETIME NOT NULL, 
	public_key VARCHAR(64) NOT NULL, 
	signature VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_audit_checkpoints PRIMARY KEY (id)
);
CREATE TABLE audit_events (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	person VARCHAR(255) NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	object VARCHAR(255) NOT NULL, 
	detail JSON NOT NULL, 
	previous_hash VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_audit_events PRIMARY KEY (id), 
	CONSTRAINT uq_audit_events_hash UNIQUE (hash)
);
INSERT INTO "audit_events" VALUES(1,'2026-12-01 02:14:30.937678','intake','add study','2.25.1001','{"site": "north", "instances": 3}','0000000000000000000000000000000000000000000000000000000000000000','2d15856bc69b2f9b5bc0dce6ff3db8a218945349426f4d670698625f15047804');
INSERT INTO "audit_events" VALUES(2,'2026-12-01 02:14:31.600350','anton','annotate','2.25.1002','{"SOPInstanceUID": "2.25.64991027515899725229450108808011059289100519075941023030583"}','2d15856bc69b2f9b5bc0dce6ff3db8a218945349426f4d670698625f15047804','376de28adbd1ac053c1b1865044d5098baf1df7017b407263f5973e6dfa7d415');
CREATE TABLE audit_heads (
	id INTEGER NOT NULL, 
	event_id INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	at DATETIME NOT NULL, 
	public_key VARCHAR(64) NOT NULL, 
	signature VARCHAR(128) NOT NULL, 
	CONSTRAINT pk_audit_heads PRIMARY KEY (id)
);
CREATE TABLE dataset_names (
	id INTEGER NOT NULL, 
	dataset_id VARCHAR(64) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	created_by VARCHAR(255) NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_dataset_names PRIMARY KEY (id), 
	CONSTRAINT fk_dataset_names_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id), 
	CONSTRAINT uq_dataset_names_dataset_id UNIQUE (dataset_id, name)
);
CREATE TABLE dataset_objects (
	dataset_id VARCHAR(64) NOT NULL, 
	"SeriesInstanceUID" VARCHAR(64) NOT NULL, 
	"SOPInstanceUID" VARCHAR(64) NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	CONSTRAINT pk_dataset_objects PRIMARY KEY (dataset_id, "SeriesInstanceUID", "SOPInstanceUID"), 
	CONSTRAINT fk_dataset_objects_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id)
)
 WITHOUT ROWID

;
CREATE TABLE "dataset_series" (
	dataset_id VARCHAR(64) NOT NULL, 
	"SeriesInstanceUID" VARCHAR(64) NOT NULL, 
	withdrawn_at DATETIME, n_instances INTEGER DEFAULT '0' NOT NULL, n_frames INTEGER DEFAULT '0' NOT NULL, size_bytes BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_dataset_series PRIMARY KEY (dataset_id, "SeriesInstanceUID"), 
	CONSTRAINT fk_dataset_series_dataset_id FOREIGN KEY(dataset_id) REFERENCES datasets (id)
);
CREATE TABLE datasets (
	id VARCHAR(64) NOT NULL, 
	created_by VARCHAR(255) NOT NULL, 
	created_at DATETIME NOT NULL, profiles JSON DEFAULT '[]' NOT NULL, n_instances INTEGER DEFAULT '0' NOT NULL, n_labels INTEGER DEFAULT '0' NOT NULL, size_bytes BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_datasets PRIMARY KEY (id)
);
CREATE TABLE decisions (
	id INTEGER NOT NULL, 
	prediction_id INTEGER NOT NULL, 
	person VARCHAR(255) NOT NULL, 
	action VARCHAR(16) NOT NULL, 
	comment TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_decisions PRIMARY KEY (id), 
	CONSTRAINT fk_decisions_prediction_id FOREIGN KEY(prediction_id) REFERENCES predictions (id)
);
CREATE TABLE instances (
	"SOPInstanceUID" VARCHAR(64) NOT NULL, 
	"SeriesInstanceUID" VARCHAR(64) NOT NULL, 
	"SOPClassUID" VARCHAR(64) NOT NULL, 
	"InstanceNumber" INTEGER, 
	path VARCHAR(255) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	"TransferSyntaxUID" VARCHAR(64) NOT NULL, 
	"Rows" INTEGER, 
	"Columns" INTEGER, 
	"SamplesPerPixel" INTEGER, 
	"PhotometricInterpretation" VARCHAR(16), 
	"BitsAllocated" INTEGER, 
	"BitsStored" INTEGER, 
	"PixelRepresentation" INTEGER, 
	"PlanarConfiguration" INTEGER, 
	"RescaleSlope" FLOAT, 
	"RescaleIntercept" FLOAT, 
	"ImagePositionPatient" JSON, 
	"ImageOrientationPatient" JSON, 
	"PixelSpacing" JSON, 
	"SliceThickness" FLOAT, 
	frames JSON NOT NULL, 
	header JSON NOT NULL, media_type VARCHAR(64) DEFAULT 'application/dicom' NOT NULL, revision INTEGER DEFAULT '1' NOT NULL, deidentification JSON, "NumberOfFrames" INTEGER, per_frame JSON DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_instances PRIMARY KEY ("SOPInstanceUID"), 
	CONSTRAINT "fk_instances_SeriesInstanceUID" FOREIGN KEY("SeriesInstanceUID") REFERENCES series ("SeriesInstanceUID")
);
INSERT INTO "instances" VALUES('2.25.10030','2.25.1002','1.2.840.10008.5.1.4.1.1.2',1,'2.25.1001/2.25.1002/2.25.10030.dcm','365d1c8c6b9574a54566f7c1e8cf74d9df7b6e781cef899315c64bc5267766c8',884,'1.2.840.10008.1.2.1',4,4,1,'MONOCHROME2',16,16,1,NULL,1.0,0.0,'[-100.0, -120.0, 50.0]','[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]','[1.0, 1.0]',2.5,'[[852, 32]]','{"00080008": {"vr": "CS", "Value": ["DERIVED", "SECONDARY", "AXIAL"]}, "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00080018": {"vr": "UI", "Value": ["2.25.10030"]}, "00080020": {"vr": "DA", "Value": ["20200102"]}, "00080030": {"vr": "TM"}, "00080050": {"vr": "SH"}, "00080060": {"vr": "CS", "Value": ["CT"]}, "00080070": {"vr": "LO", "Value": ["Aurelius"]}, "00080090": {"vr": "PN"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO", "Value": ["AUR-OLD"]}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS", "Value": ["F"]}, "00101010": {"vr": "AS", "Value": ["061Y"]}, "00120062": {"vr": "CS", "Value": ["YES"]}, "00120063": {"vr": "LO", "Value": ["Generated"]}, "00180015": {"vr": "CS", "Value": ["CHEST"]}, "00180050": {"vr": "DS", "Value": [2.5]}, "0020000D": {"vr": "UI", "Value": ["2.25.1001"]}, "0020000E": {"vr": "UI", "Value": ["2.25.1002"]}, "00200010": {"vr": "SH"}, "00200011": {"vr": "IS", "Value": [1]}, "00200013": {"vr": "IS", "Value": [1]}, "00200032": {"vr": "DS", "Value": [-100.0, -120.0, 50.0]}, "00200037": {"vr": "DS", "Value": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}, "00200052": {"vr": "UI", "Value": ["2.25.1004"]}, "00201040": {"vr": "LO"}, "00280002": {"vr": "US", "Value": [1]}, "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]}, "00280010": {"vr": "US", "Value": [4]}, "00280011": {"vr": "US", "Value": [4]}, "00280030": {"vr": "DS", "Value": [1.0, 1.0]}, "00280100": {"vr": "US", "Value": [16]}, "00280101": {"vr": "US", "Value": [16]}, "00280102": {"vr": "US", "Value": [15]}, "00280103": {"vr": "US", "Value": [1]}, "00281052": {"vr": "DS", "Value": [0.0]}, "00281053": {"vr": "DS", "Value": [1.0]}, "00281054": {"vr": "LO", "Value": ["HU"]}}','application/dicom',1,'null',NULL,'{"ImageType": ["DERIVED\\SECONDARY\\AXIAL"], "RescaleType": ["HU"]}');
INSERT INTO "instances" VALUES('2.25.10031','2.25.1002','1.2.840.10008.5.1.4.1.1.2',2,'2.25.1001/2.25.1002/2.25.10031.dcm','9e0bd5db537e4464a4f41d32a4339238375f64a84eb95a05888d1e348c4ae571',884,'1.2.840.10008.1.2.1',4,4,1,'MONOCHROME2',16,16,1,NULL,1.0,0.0,'[-100.0, -120.0, 52.5]','[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]','[1.0, 1.0]',2.5,'[[852, 32]]','{"00080008": {"vr": "CS", "Value": ["DERIVED", "SECONDARY", "AXIAL"]}, "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00080018": {"vr": "UI", "Value": ["2.25.10031"]}, "00080020": {"vr": "DA", "Value": ["20200102"]}, "00080030": {"vr": "TM"}, "00080050": {"vr": "SH"}, "00080060": {"vr": "CS", "Value": ["CT"]}, "00080070": {"vr": "LO", "Value": ["Aurelius"]}, "00080090": {"vr": "PN"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO", "Value": ["AUR-OLD"]}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS", "Value": ["F"]}, "00101010": {"vr": "AS", "Value": ["061Y"]}, "00120062": {"vr": "CS", "Value": ["YES"]}, "00120063": {"vr": "LO", "Value": ["Generated"]}, "00180015": {"vr": "CS", "Value": ["CHEST"]}, "00180050": {"vr": "DS", "Value": [2.5]}, "0020000D": {"vr": "UI", "Value": ["2.25.1001"]}, "0020000E": {"vr": "UI", "Value": ["2.25.1002"]}, "00200010": {"vr": "SH"}, "00200011": {"vr": "IS", "Value": [1]}, "00200013": {"vr": "IS", "Value": [2]}, "00200032": {"vr": "DS", "Value": [-100.0, -120.0, 52.5]}, "00200037": {"vr": "DS", "Value": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}, "00200052": {"vr": "UI", "Value": ["2.25.1004"]}, "00201040": {"vr": "LO"}, "00280002": {"vr": "US", "Value": [1]}, "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]}, "00280010": {"vr": "US", "Value": [4]}, "00280011": {"vr": "US", "Value": [4]}, "00280030": {"vr": "DS", "Value": [1.0, 1.0]}, "00280100": {"vr": "US", "Value": [16]}, "00280101": {"vr": "US", "Value": [16]}, "00280102": {"vr": "US", "Value": [15]}, "00280103": {"vr": "US", "Value": [1]}, "00281052": {"vr": "DS", "Value": [0.0]}, "00281053": {"vr": "DS", "Value": [1.0]}, "00281054": {"vr": "LO", "Value": ["HU"]}}','application/dicom',1,'null',NULL,'{"ImageType": ["DERIVED\\SECONDARY\\AXIAL"], "RescaleType": ["HU"]}');
INSERT INTO "instances" VALUES('2.25.10032','2.25.1002','1.2.840.10008.5.1.4.1.1.2',3,'2.25.1001/2.25.1002/2.25.10032.dcm','6eecb2dd06fbefb8fedd447cd4438f54af3c5a353727268b78b1ec897b5cc0fa',884,'1.2.840.10008.1.2.1',4,4,1,'MONOCHROME2',16,16,1,NULL,1.0,0.0,'[-100.0, -120.0, 55.0]','[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]','[1.0, 1.0]',2.5,'[[852, 32]]','{"00080008": {"vr": "CS", "Value": ["DERIVED", "SECONDARY", "AXIAL"]}, "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00080018": {"vr": "UI", "Value": ["2.25.10032"]}, "00080020": {"vr": "DA", "Value": ["20200102"]}, "00080030": {"vr": "TM"}, "00080050": {"vr": "SH"}, "00080060": {"vr": "CS", "Value": ["CT"]}, "00080070": {"vr": "LO", "Value": ["Aurelius"]}, "00080090": {"vr": "PN"}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO", "Value": ["AUR-OLD"]}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS", "Value": ["F"]}, "00101010": {"vr": "AS", "Value": ["061Y"]}, "00120062": {"vr": "CS", "Value": ["YES"]}, "00120063": {"vr": "LO", "Value": ["Generated"]}, "00180015": {"vr": "CS", "Value": ["CHEST"]}, "00180050": {"vr": "DS", "Value": [2.5]}, "0020000D": {"vr": "UI", "Value": ["2.25.1001"]}, "0020000E": {"vr": "UI", "Value": ["2.25.1002"]}, "00200010": {"vr": "SH"}, "00200011": {"vr": "IS", "Value": [1]}, "00200013": {"vr": "IS", "Value": [3]}, "00200032": {"vr": "DS", "Value": [-100.0, -120.0, 55.0]}, "00200037": {"vr": "DS", "Value": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}, "00200052": {"vr": "UI", "Value": ["2.25.1004"]}, "00201040": {"vr": "LO"}, "00280002": {"vr": "US", "Value": [1]}, "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]}, "00280010": {"vr": "US", "Value": [4]}, "00280011": {"vr": "US", "Value": [4]}, "00280030": {"vr": "DS", "Value": [1.0, 1.0]}, "00280100": {"vr": "US", "Value": [16]}, "00280101": {"vr": "US", "Value": [16]}, "00280102": {"vr": "US", "Value": [15]}, "00280103": {"vr": "US", "Value": [1]}, "00281052": {"vr": "DS", "Value": [0.0]}, "00281053": {"vr": "DS", "Value": [1.0]}, "00281054": {"vr": "LO", "Value": ["HU"]}}','application/dicom',1,'null',NULL,'{"ImageType": ["DERIVED\\SECONDARY\\AXIAL"], "RescaleType": ["HU"]}');
INSERT INTO "instances" VALUES('2.25.64991027515899725229450108808011059289100519075941023030583','2.25.86767921286559694691910386123449022845608155983536277473734','1.2.840.10008.5.1.4.1.1.66.4',1,'2.25.1001/2.25.86767921286559694691910386123449022845608155983536277473734/2.25.64991027515899725229450108808011059289100519075941023030583.dcm','42d15b29c64627b72f32659faf62bc5a27571e49b7053c0316d8911a88a00d6e',3276,'1.2.840.10008.1.2.1',4,4,1,'MONOCHROME2',1,1,0,NULL,NULL,NULL,'null','null','null',NULL,'[]','{"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}, "00080008": {"vr": "CS", "Value": ["DERIVED", "PRIMARY"]}, "00080012": {"vr": "DA", "Value": ["20261201"]}, "00080013": {"vr": "TM", "Value": ["021430.979380"]}, "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.66.4"]}, "00080018": {"vr": "UI", "Value": ["2.25.64991027515899725229450108808011059289100519075941023030583"]}, "00080020": {"vr": "DA", "Value": ["20200102"]}, "00080023": {"vr": "DA", "Value": ["20261201"]}, "00080030": {"vr": "TM"}, "00080033": {"vr": "TM", "Value": ["021430.979380"]}, "00080050": {"vr": "SH"}, "00080060": {"vr": "CS", "Value": ["SEG"]}, "00080070": {"vr": "LO", "Value": ["Aurelius"]}, "00080090": {"vr": "PN"}, "0008103E": {"vr": "LO", "Value": ["Label: nodule"]}, "00081090": {"vr": "LO", "Value": ["Aurelius"]}, "00081115": {"vr": "SQ", "Value": [{"0008114A": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": ["2.25.10030"]}}, {"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": ["2.25.10031"]}}, {"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": ["2.25.10032"]}}]}, "0020000E": {"vr": "UI", "Value": ["2.25.1002"]}}]}, "00082112": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": ["2.25.10030"]}}, {"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": ["2.25.10031"]}}, {"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": ["2.25.10032"]}}]}, "00100010": {"vr": "PN"}, "00100020": {"vr": "LO", "Value": ["AUR-OLD"]}, "00100030": {"vr": "DA"}, "00100040": {"vr": "CS", "Value": ["F"]}, "00101010": {"vr": "AS", "Value": ["061Y"]}, "00120062": {"vr": "CS", "Value": ["YES"]}, "00120063": {"vr": "LO", "Value": ["Generated"]}, "00181000": {"vr": "LO", "Value": ["0"]}, "00181020": {"vr": "LO", "Value": ["0.1.0"]}, "0018A001": {"vr": "SQ", "Value": [{"00080070": {"vr": "LO", "Value": ["Aurelius"]}, "0018A003": {"vr": "ST", "Value": ["Acquisition equipment of the source image(s)"]}, "0040A170": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["109101"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Acquisition Equipment"]}}]}}, {"00080070": {"vr": "LO", "Value": ["Highdicom open-source contributors"]}, "00081090": {"vr": "LO", "Value": ["highdicom"]}, "00181020": {"vr": "LO", "Value": ["0.28.2"]}, "0018A002": {"vr": "DT", "Value": ["20261201021431.538328"]}, "0018A003": {"vr": "ST", "Value": ["Software library used to create this instance"]}, "0040A170": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["109102"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Processing Equipment"]}}]}}]}, "0020000D": {"vr": "UI", "Value": ["2.25.1001"]}, "0020000E": {"vr": "UI", "Value": ["2.25.86767921286559694691910386123449022845608155983536277473734"]}, "00200010": {"vr": "SH"}, "00200011": {"vr": "IS", "Value": [9000]}, "00200013": {"vr": "IS", "Value": [1]}, "00200052": {"vr": "UI", "Value": ["2.25.1004"]}, "00201040": {"vr": "LO"}, "00209221": {"vr": "SQ", "Value": [{"00209164": {"vr": "UI", "Value": ["1.2.826.0.1.3680043.10.511.3.18919048984486300194563211544787047"]}}]}, "00209222": {"vr": "SQ", "Value": [{"00209164": {"vr": "UI", "Value": ["1.2.826.0.1.3680043.10.511.3.18919048984486300194563211544787047"]}, "00209165": {"vr": "AT", "Value": ["0062000B"]}, "00209167": {"vr": "AT", "Value": ["0062000A"]}, "00209421": {"vr": "LO", "Value": ["Referenced Segment Number"]}}, {"00209164": {"vr": "UI", "Value": ["1.2.826.0.1.3680043.10.511.3.18919048984486300194563211544787047"]}, "00209165": {"vr": "AT", "Value": ["00200032"]}, "00209167": {"vr": "AT", "Value": ["00209113"]}, "00209421": {"vr": "LO", "Value": ["Image Position Patient"]}}]}, "00280002": {"vr": "US", "Value": [1]}, "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]}, "00280008": {"vr": "IS", "Value": [1]}, "00280010": {"vr": "US", "Value": [4]}, "00280011": {"vr": "US", "Value": [4]}, "00280100": {"vr": "US", "Value": [1]}, "00280101": {"vr": "US", "Value": [1]}, "00280102": {"vr": "US", "Value": [0]}, "00280103": {"vr": "US", "Value": [0]}, "00282110": {"vr": "CS", "Value": ["00"]}, "00620001": {"vr": "CS", "Value": ["BINARY"]}, "00620002": {"vr": "SQ", "Value": [{"00620003": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["49755003"]}, "00080102": {"vr": "SH", "Value": ["SCT"]}, "00080104": {"vr": "LO", "Value": ["Morphologically Abnormal Structure"]}}]}, "00620004": {"vr": "US", "Value": [1]}, "00620005": {"vr": "LO", "Value": ["nodule"]}, "00620007": {"vr": "SQ", "Value": [{"0066002F": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["123110"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Artificial Intelligence"]}}]}, "00660031": {"vr": "LO", "Value": ["0.1.0"]}, "00660036": {"vr": "LO", "Value": ["Aurelius annotation"]}}]}, "00620008": {"vr": "CS", "Value": ["SEMIAUTOMATIC"]}, "00620009": {"vr": "LO", "Value": ["Aurelius annotation"]}, "0062000D": {"vr": "US", "Value": [46273, 37131, 52089]}, "0062000F": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["27925004"]}, "00080102": {"vr": "SH", "Value": ["SCT"]}, "00080104": {"vr": "LO", "Value": ["Nodule"]}}]}}]}, "00620013": {"vr": "CS", "Value": ["NO"]}, "00700080": {"vr": "CS", "Value": ["LABEL"]}, "00700081": {"vr": "LO"}, "00700084": {"vr": "PN", "Value": [{"Alphabetic": "anton^"}]}, "20500020": {"vr": "CS", "Value": ["IDENTITY"]}, "52009229": {"vr": "SQ", "Value": [{"00209116": {"vr": "SQ", "Value": [{"00200037": {"vr": "DS", "Value": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}}]}, "00289110": {"vr": "SQ", "Value": [{"00180050": {"vr": "DS", "Value": [2.5]}, "00180088": {"vr": "DS", "Value": [2.5]}, "00280030": {"vr": "DS", "Value": [1.0, 1.0]}}]}, "0062000A": {"vr": "SQ", "Value": [{"0062000B": {"vr": "US", "Value": [1]}}]}}]}, "52009230": {"vr": "SQ", "Value": [{"00089124": {"vr": "SQ", "Value": [{"00082112": {"vr": "SQ", "Value": [{"00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}, "00081155": {"vr": "UI", "Value": ["2.25.10031"]}, "0028135A": {"vr": "CS", "Value": ["YES"]}, "0040A170": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["121322"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Source image for image processing operation"]}}]}}]}, "00089215": {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["113076"]}, "00080102": {"vr": "SH", "Value": ["DCM"]}, "00080104": {"vr": "LO", "Value": ["Segmentation"]}}]}}]}, "00209111": {"vr": "SQ", "Value": [{"00209157": {"vr": "UL", "Value": [1, 1]}}]}, "00209113": {"vr": "SQ", "Value": [{"00200032": {"vr": "DS", "Value": [-100.0, -120.0, 52.5]}}]}}]}}','application/dicom',1,'null',1,'{"ContentTime": ["021430.979380"], "ImageType": ["DERIVED\\PRIMARY"], "SliceThickness": [2.5], "SpacingBetweenSlices": [2.5], "PixelSpacing": [[1.0, 1.0]], "ImageOrientationPatient": [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]], "ReferencedSegmentNumber": [1.0], "ImagePositionPatient": [[-100.0, -120.0, 52.5]]}');
CREATE TABLE leases (
	"SeriesInstanceUID" VARCHAR(64) NOT NULL, 
	person VARCHAR(255) NOT NULL, 
	until DATETIME NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY ("SeriesInstanceUID"), 
	CONSTRAINT "fk_leases_SeriesInstanceUID" FOREIGN KEY("SeriesInstanceUID") REFERENCES series ("SeriesInstanceUID")
);
CREATE TABLE predictions (
	id INTEGER NOT NULL, 
	"SeriesInstanceUID" VARCHAR(64) NOT NULL, 
	model VARCHAR(255) NOT NULL, 
	model_hash VARCHAR(64) NOT NULL, 
	finding TEXT NOT NULL, 
	volume_mm3 FLOAT NOT NULL, 
	confidence FLOAT NOT NULL, 
	uncertainty FLOAT NOT NULL, 
	requires_review BOOLEAN NOT NULL, 
	"SOPInstanceUID" VARCHAR(64), 
	segments JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	CONSTRAINT pk_predictions PRIMARY KEY (id), 
	CONSTRAINT "fk_predictions_SOPInstanceUID" FOREIGN KEY("SOPInstanceUID") REFERENCES instances ("SOPInstanceUID"), 
	CONSTRAINT "fk_predictions_SeriesInstanceUID" FOREIGN KEY("SeriesInstanceUID") REFERENCES series ("SeriesInstanceUID")
);
CREATE TABLE scope_projects (
	scope INTEGER NOT NULL, 
	project VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_scope_projects PRIMARY KEY (scope, project), 
	CONSTRAINT fk_scope_projects_scope FOREIGN KEY(scope) REFERENCES scopes (id)
);
CREATE TABLE scopes (
	id INTEGER NOT NULL, 
	site VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_scopes PRIMARY KEY (id)
);
INSERT INTO "scopes" VALUES(1,'north');
CREATE TABLE series (
	"SeriesInstanceUID" VARCHAR(64) NOT NULL, 
	"StudyInstanceUID" VARCHAR(64) NOT NULL, 
	"Modality" VARCHAR(16) NOT NULL, 
	"SOPClassUID" VARCHAR(64) NOT NULL, 
	"SeriesDescription" VARCHAR(64), 
	"SeriesNumber" INTEGER, 
	"BodyPartExamined" VARCHAR(16), 
	"Manufacturer" VARCHAR(64), 
	"ManufacturerModelName" VARCHAR(64), 
	"FrameOfReferenceUID" VARCHAR(64), 
	"Rows" INTEGER, 
	"Columns" INTEGER, 
	n_instances INTEGER NOT NULL, 
	n_frames INTEGER NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	received_at DATETIME NOT NULL, revision INTEGER DEFAULT '1' NOT NULL, id INTEGER DEFAULT '0' NOT NULL, scope INTEGER DEFAULT '0' NOT NULL, "PatientID" VARCHAR(64) DEFAULT '' NOT NULL, "PatientSex" VARCHAR(16), "PatientAge" VARCHAR(4), "PatientSize" FLOAT, "PatientWeight" FLOAT, "StudyDate" VARCHAR(8), "StudyTime" VARCHAR(16), "StudyDescription" VARCHAR(64), words TEXT DEFAULT '' NOT NULL, "TransferSyntaxUID" VARCHAR(64), "SeriesDate" VARCHAR(8), "SeriesTime" VARCHAR(16), "AcquisitionDate" VARCHAR(8), "ProtocolName" VARCHAR(64), "Laterality" VARCHAR(16), "PatientPosition" VARCHAR(16), "ImageType" VARCHAR(255), "PhotometricInterpretation" VARCHAR(16), "LossyImageCompression" VARCHAR(16), "ContrastBolusAgent" VARCHAR(64), "ConvolutionKernel" VARCHAR(64), "ViewPosition" VARCHAR(16), "ScanningSequence" VARCHAR(64), "SequenceVariant" VARCHAR(64), "SequenceName" VARCHAR(16), "MRAcquisitionType" VARCHAR(16), "ReceiveCoilName" VARCHAR(16), "Units" VARCHAR(16), "ReconstructionMethod" VARCHAR(64), "Radiopharmaceutical" VARCHAR(64), "TransducerType" VARCHAR(16), "SegmentationType" VARCHAR(16), "DoseSummationType" VARCHAR(16), "ContentLabel" VARCHAR(16), "BitsStored" INTEGER, "SamplesPerPixel" INTEGER, "EchoTrainLength" INTEGER, "NumberOfTemporalPositions" INTEGER, "TotalPixelMatrixColumns" INTEGER, "TotalPixelMatrixRows" INTEGER, "NumberOfWaveformChannels" INTEGER, "PixelSpacing" FLOAT, "SliceThickness" FLOAT, "SpacingBetweenSlices" FLOAT, "KVP" FLOAT, "XRayTubeCurrent" FLOAT, "ExposureTime" FLOAT, "CTDIvol" FLOAT, "ReconstructionDiameter" FLOAT, "GantryDetectorTilt" FLOAT, "SpiralPitchFactor" FLOAT, "MagneticFieldStrength" FLOAT, "RepetitionTime" FLOAT, "EchoTime" FLOAT, "InversionTime" FLOAT, "FlipAngle" FLOAT, "DiffusionBValue" FLOAT, "RadionuclideTotalDose" FLOAT, "FrameTime" FLOAT, "ObjectiveLensPower" FLOAT, "SamplingFrequency" FLOAT, labelled TEXT, predicted TEXT, 
	CONSTRAINT pk_series PRIMARY KEY ("SeriesInstanceUID"), 
	CONSTRAINT "fk_series_StudyInstanceUID" FOREIGN KEY("StudyInstanceUID") REFERENCES studies ("StudyInstanceUID")
);
INSERT INTO "series" VALUES('2.25.1002','2.25.1001','CT','1.2.840.10008.5.1.4.1.1.2',NULL,1,'CHEST','Aurelius',NULL,'2.25.1004',4,4,3,3,2652,'2026-12-01 02:14:30.898640',1,1,1,'AUR-OLD','F','061Y',NULL,NULL,'20200102',NULL,NULL,'chest','1.2.840.10008.1.2.1',NULL,NULL,NULL,NULL,NULL,NULL,'DERIVED\SECONDARY\AXIAL','MONOCHROME2',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,16,1,NULL,NULL,NULL,NULL,NULL,1.0,2.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'["nodule"]',NULL);
INSERT INTO "series" VALUES('2.25.86767921286559694691910386123449022845608155983536277473734','2.25.1001','SEG','1.2.840.10008.5.1.4.1.1.66.4','Label: nodule',9000,NULL,'Aurelius','Aurelius','2.25.1004',4,4,1,1,3276,'2026-12-01 02:14:31.584360',1,2,1,'AUR-OLD','F','061Y',NULL,NULL,'20200102',NULL,NULL,'label nodule','1.2.840.10008.1.2.1',NULL,NULL,NULL,NULL,NULL,NULL,'DERIVED\PRIMARY','MONOCHROME2','00',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'BINARY',NULL,'LABEL',1,1,NULL,NULL,NULL,NULL,NULL,1.0,2.5,2.5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE VIRTUAL TABLE series_words USING fts5(
        words, content='series', content_rowid='id', detail='none', columnsize=0);
CREATE TABLE studies (
	"StudyInstanceUID" VARCHAR(64) NOT NULL, 
	"PatientID" VARCHAR(64) NOT NULL, 
	site VARCHAR(64) NOT NULL, 
	"PatientSex" VARCHAR(16), 
	"PatientAge" VARCHAR(4), 
	"StudyDate" VARCHAR(8), 
	"StudyDescription" VARCHAR(64), flags JSON DEFAULT '[]' NOT NULL, scope INTEGER DEFAULT '0' NOT NULL, "PatientSize" FLOAT, "PatientWeight" FLOAT, "StudyTime" VARCHAR(16), 
	CONSTRAINT pk_studies PRIMARY KEY ("StudyInstanceUID")
);
INSERT INTO "studies" VALUES('2.25.1001','AUR-OLD','north','F','061Y','20200102',NULL,'[]',1,NULL,NULL,NULL);
CREATE TABLE tombstones (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	uid VARCHAR(64) NOT NULL, 
	"PatientID" VARCHAR(64) NOT NULL, 
	withdrawn_at DATETIME NOT NULL, 
	withdrawn_by VARCHAR(255) NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_tombstones PRIMARY KEY (id)
);
CREATE INDEX ix_audit_events_object ON audit_events (object);
CREATE INDEX "ix_studies_PatientID" ON studies ("PatientID");
CREATE INDEX ix_studies_site ON studies (site);
CREATE INDEX "ix_series_StudyInstanceUID" ON series ("StudyInstanceUID");
CREATE INDEX "ix_instances_SeriesInstanceUID" ON instances ("SeriesInstanceUID");
CREATE INDEX "ix_predictions_SeriesInstanceUID" ON predictions ("SeriesInstanceUID");
CREATE INDEX ix_decisions_prediction_id ON decisions (prediction_id);
CREATE INDEX ix_tombstones_uid ON tombstones (uid);
CREATE INDEX "ix_tombstones_PatientID" ON tombstones ("PatientID");
CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events WHEN OLD.id > coalesce((SELECT max(event_id) FROM audit_checkpoints), 0) BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id OR hash = NEW.hash) BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_heads_no_update BEFORE UPDATE ON audit_heads BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_heads_no_delete BEFORE DELETE ON audit_heads WHEN OLD.event_id > coalesce((SELECT max(event_id) FROM audit_checkpoints), 0) BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_heads_no_replace BEFORE INSERT ON audit_heads WHEN EXISTS (SELECT 1 FROM audit_heads WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_checkpoints_no_update BEFORE UPDATE ON audit_checkpoints BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_checkpoints_no_delete BEFORE DELETE ON audit_checkpoints  BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE TRIGGER audit_checkpoints_no_replace BEFORE INSERT ON audit_checkpoints WHEN EXISTS (SELECT 1 FROM audit_checkpoints WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'audit records are neither changed nor removed'); END;
CREATE INDEX ix_scopes_site ON scopes (site);
CREATE INDEX ix_scope_projects_project ON scope_projects (project);
CREATE UNIQUE INDEX ix_series_id ON series (id);
CREATE INDEX "ix_series_Modality" ON series ("Modality", "BodyPartExamined", id);
CREATE TRIGGER series_words_insert AFTER INSERT ON series BEGIN
        INSERT INTO series_words(rowid, words) VALUES (new.id, new.words); END;
CREATE TRIGGER series_words_delete AFTER DELETE ON series BEGIN
        INSERT INTO series_words(series_words, rowid, words) VALUES ('delete', old.id, old.words); END;
CREATE TRIGGER series_words_update AFTER UPDATE OF id, words ON series BEGIN
        INSERT INTO series_words(series_words, rowid, words) VALUES ('delete', old.id, old.words);
        INSERT INTO series_words(rowid, words) VALUES (new.id, new.words); END;
CREATE INDEX ix_dataset_names_name ON dataset_names (name);
CREATE INDEX ix_series_labelled ON series (scope, "Modality", id) WHERE labelled IS NOT NULL;
CREATE INDEX ix_series_predicted ON series (scope, "Modality", id) WHERE predicted IS NOT NULL;
CREATE INDEX ix_series_scope ON series (scope, "Modality", "BodyPartExamined", "StudyDate", id, "PatientAge", "SliceThickness", "ManufacturerModelName", "EchoTime");
CREATE INDEX "ix_series_PatientID" ON series ("PatientID", id, scope);
CREATE INDEX "ix_series_PatientAge" ON series ("PatientAge", id, scope);
CREATE INDEX "ix_series_SOPClassUID" ON series ("SOPClassUID", id, scope);
CREATE INDEX "ix_series_BodyPartExamined" ON series ("BodyPartExamined", id, scope);
CREATE INDEX "ix_series_Manufacturer" ON series ("Manufacturer", id, scope);
CREATE INDEX "ix_series_ManufacturerModelName" ON series ("ManufacturerModelName", id, scope);
CREATE INDEX "ix_series_StudyDate" ON series ("StudyDate", id, scope);
CREATE INDEX "ix_series_SeriesDescription" ON series ("SeriesDescription", id, scope);
CREATE INDEX "ix_series_StudyDescription" ON series ("StudyDescription", id, scope);
CREATE INDEX "ix_series_ProtocolName" ON series ("ProtocolName", id, scope);
CREATE INDEX "ix_series_FrameOfReferenceUID" ON series ("FrameOfReferenceUID", id, scope);
CREATE INDEX ix_series_received_at ON series (received_at, id, scope);
CREATE INDEX "ix_series_SliceThickness" ON series ("SliceThickness", id, scope) WHERE "SliceThickness" IS NOT NULL;
CREATE INDEX "ix_series_PixelSpacing" ON series ("PixelSpacing", id, scope) WHERE "PixelSpacing" IS NOT NULL;
CREATE INDEX "ix_series_KVP" ON series ("KVP", id, scope) WHERE "KVP" IS NOT NULL;
CREATE INDEX "ix_series_ConvolutionKernel" ON series ("ConvolutionKernel", id, scope) WHERE "ConvolutionKernel" IS NOT NULL;
CREATE INDEX "ix_series_ContrastBolusAgent" ON series ("ContrastBolusAgent", id, scope) WHERE "ContrastBolusAgent" IS NOT NULL;
CREATE INDEX "ix_series_MagneticFieldStrength" ON series ("MagneticFieldStrength", id, scope) WHERE "MagneticFieldStrength" IS NOT NULL;
CREATE INDEX "ix_series_RepetitionTime" ON series ("RepetitionTime", id, scope) WHERE "RepetitionTime" IS NOT NULL;
CREATE INDEX "ix_series_EchoTime" ON series ("EchoTime", id, scope) WHERE "EchoTime" IS NOT NULL;
CREATE INDEX "ix_series_InversionTime" ON series ("InversionTime", id, scope) WHERE "InversionTime" IS NOT NULL;
CREATE INDEX "ix_series_SequenceName" ON series ("SequenceName", id, scope) WHERE "SequenceName" IS NOT NULL;
CREATE INDEX "ix_series_DiffusionBValue" ON series ("DiffusionBValue", id, scope) WHERE "DiffusionBValue" IS NOT NULL;
CREATE INDEX "ix_series_Radiopharmaceutical" ON series ("Radiopharmaceutical", id, scope) WHERE "Radiopharmaceutical" IS NOT NULL;
CREATE INDEX "ix_series_ObjectiveLensPower" ON series ("ObjectiveLensPower", id, scope) WHERE "ObjectiveLensPower" IS NOT NULL;
CREATE INDEX "ix_series_SamplingFrequency" ON series ("SamplingFrequency", id, scope) WHERE "SamplingFrequency" IS NOT NULL;
CREATE INDEX "ix_series_SegmentationType" ON series ("SegmentationType", id, scope) WHERE "SegmentationType" IS NOT NULL;
INSERT INTO series_words(rowid, words) SELECT id, words FROM series;
COMMIT;
